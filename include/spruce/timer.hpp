// Timers that own their callable: again and again, once, at times of day; and functions whose calls come later. All of
// them.
#pragma once
#include "at_timer.hpp"
#include "one_shot_timer.hpp"
#include "periodic_timer.hpp"
#include "timed.hpp"
