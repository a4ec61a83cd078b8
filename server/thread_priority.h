// How soon the system lets a thread run that has just been woken. Pure calls about the calling
// thread.
#pragma once

namespace runahead {

// Asks for short turns, soon: a thread that handles a socket in microseconds then interrupts the
// kernel pool's threads, which compute for as long as they may, instead of waiting for the end of
// their turn (3 ms and more). It costs nobody their share of the processor. Needs Linux 6.12; an
// older one ignores it.
void AskForShortTurns();

// Lowers this thread's share, and of those it will start, where others want the processor too: each
// step of `nice` (to 19) by a fifth.
void GiveWay(int nice);

}  // namespace runahead
