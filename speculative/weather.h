// Weather: how much longer all passes take for the moment than they mostly do. A neighbour on the
// machine, its clock rate: what one pass met the next will meet, and soon it is gone. Value type.
#pragma once

namespace runahead {

// Follows the passes' ratios and learns how much of the latest is still true of the next: nothing
// where they are off at random.
class Weather {
 public:
  // What a pass took over what it mostly takes.
  void Observe(double ratio);

  // Expected of the next pass; 1 where nothing is known.
  double factor() const { return factor_; }

 private:
  double latest_ = 0;    // running mean of logarithms of ratios
  double products_ = 0;  // decayed sum of ratios x those expected by the ones before
  double squares_ = 0;   // likewise of the latter squared
  double factor_ = 1;
};

}  // namespace runahead
