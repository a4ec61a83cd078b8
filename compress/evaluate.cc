#include "compress/evaluate.h"

#include <algorithm>
#include <optional>
#include <string>
#include <vector>

#include "compress/eval_windows.h"
#include "core/check.h"

namespace runahead {
namespace {

// One model of an evaluation, at work on a window.
class Reader {
 public:
  explicit Reader(const EvalModel& model) : model_(model) {
    const RunnerLimits& limits = model.limits;
    const int blocks = (limits.max_context + limits.block_size - 1) / limits.block_size;
    for (int block = 0; block < blocks; ++block) block_table_.push_back(block);
  }

  // Runs ids[num_computed, num_computed + num_rows) of a window; what came before it has been run.
  void Run(std::span<const int32_t> window, int num_computed, int num_rows) {
    const auto begin = static_cast<size_t>(num_computed);
    const SequenceRun run = {.tokens = window.subspan(begin, static_cast<size_t>(num_rows)),
                             .num_computed = num_computed,
                             .block_table = block_table_};
    model_.runner->Run(std::span(&run, 1));
  }

  // Logits [rows, vocab] of rows of the last Run; valid until the next call.
  std::span<const float> Logits(std::span<const int32_t> rows) {
    const auto vocab = static_cast<size_t>(model_.vocab);
    host_.resize(rows.size() * vocab);
    const TensorView view = model_.runner->LogitsOf(rows);
    for (size_t i = 0; i < rows.size(); ++i) {
      model_.backend->CopyToHost(host_.data() + i * vocab, view.Row<float>(static_cast<int64_t>(i)),
                                 model_.vocab * int64_t{sizeof(float)});
    }
    model_.backend->Wait(model_.backend->Record());
    return host_;
  }

  int max_rows() const { return model_.limits.max_rows; }
  int max_logit_rows() const { return model_.limits.max_logit_rows; }

 private:
  const EvalModel& model_;
  std::vector<int32_t> block_table_;  // one window at a time: block i holds its i-th tokens
  std::vector<float> host_;
};

Status CheckIds(const EvalModel& model, const EvalModel* reference, std::span<const int32_t> ids) {
  if (ids.size() < 2) {
    return InvalidArgument("a text of " + std::to_string(ids.size()) +
                           " tokens has none to predict: at least 2 are needed");
  }
  if (reference != nullptr && reference->vocab != model.vocab) {
    return InvalidArgument("the model has " + std::to_string(model.vocab) +
                           " tokens and the reference " + std::to_string(reference->vocab) +
                           ": only models of one vocabulary can be compared");
  }
  for (const int32_t id : ids) {
    if (id < 0 || id >= model.vocab) {
      return InvalidArgument("token id " + std::to_string(id) + " is not below the vocabulary of " +
                             std::to_string(model.vocab));
    }
  }
  return {};
}

class Evaluation {
 public:
  Evaluation(const EvalModel& model, const EvalModel* reference, std::span<const int32_t> ids)
      : model_(model), ids_(ids), scores_(reference != nullptr) {
    if (reference != nullptr) reference_.emplace(*reference);
  }

  Status Score(const EvalWindow& window) {
    const auto tokens = ids_.subspan(static_cast<size_t>(window.begin),
                                     static_cast<size_t>(window.end - window.begin));
    // The last token predicts nothing that is scored here.
    const int num_rows = static_cast<int>(tokens.size()) - 1;
    for (int begin = 0; begin < num_rows;) {
      const int count = std::min(num_rows - begin, MaxRows());
      model_.Run(tokens, begin, count);
      if (reference_) reference_->Run(tokens, begin, count);
      // Row i of the chunk predicts token window.begin + begin + i + 1.
      const int first = std::max(0, window.first_scored - 1 - window.begin - begin);
      RA_RETURN_IF_ERROR(ScoreRows(window.begin + begin, first, count));
      begin += count;
    }
    return {};
  }

  EvalSummary Summarize() const { return scores_.Summarize(); }

 private:
  int MaxRows() const {
    return reference_ ? std::min(model_.max_rows(), reference_->max_rows()) : model_.max_rows();
  }

  // Rows [row, end) of the last chunk, whose row 0 is token `at` of the text.
  Status ScoreRows(int at, int row, int end) {
    const int slice = reference_ ? std::min(model_.max_logit_rows(), reference_->max_logit_rows())
                                 : model_.max_logit_rows();
    for (; row < end; row += static_cast<int>(rows_.size())) {
      rows_.resize(static_cast<size_t>(std::min(slice, end - row)));
      for (size_t i = 0; i < rows_.size(); ++i) rows_[i] = row + static_cast<int32_t>(i);
      const std::span<const float> logits = model_.Logits(rows_);
      const std::span<const float> reference =
          reference_ ? reference_->Logits(rows_) : std::span<const float>();
      const size_t vocab = logits.size() / rows_.size();
      for (size_t i = 0; i < rows_.size(); ++i) {
        const size_t token = static_cast<size_t>(at + row) + i + 1;
        const auto of = [&](std::span<const float> all) { return all.subspan(i * vocab, vocab); };
        const RowScore score = reference_ ? ScoreRow(of(logits), of(reference), ids_[token])
                                          : ScoreRow(of(logits), ids_[token]);
        if (score.is_broken) {
          return {StatusCode::kInternal,
                  "the logits of token " + std::to_string(token) + " of the text are no numbers"};
        }
        scores_.Add(score);
      }
    }
    return {};
  }

  Reader model_;
  std::optional<Reader> reference_;
  std::span<const int32_t> ids_;
  EvalScores scores_;
  std::vector<int32_t> rows_;  // scratch: of a slice of logits
};

}  // namespace

Result<EvalSummary> Evaluate(const EvalModel& model, const EvalModel* reference,
                             std::span<const int32_t> ids, const EvalOptions& options) {
  RA_RETURN_IF_ERROR(CheckIds(model, reference, ids));
  RA_CHECK_LE(options.window, model.limits.max_context);
  RA_CHECK(reference == nullptr || options.window <= reference->limits.max_context);
  Evaluation evaluation(model, reference, ids);
  const int num_tokens = static_cast<int>(ids.size());
  for (const EvalWindow& window : SlidingWindows(num_tokens, options.window, options.stride)) {
    RA_RETURN_IF_ERROR(evaluation.Score(window));
    if (options.progress) options.progress(static_cast<double>(window.end) / num_tokens);
  }
  return evaluation.Summarize();
}

}  // namespace runahead
