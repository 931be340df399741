// What most tests include. `make PCH=1` compiles it once; each test names what it needs all the same, for the test
// command does without.
#pragma once
#include <algorithm>
#include <atomic>
#include <chrono>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include <spruce/spruce.hpp>

#include "axes.hpp"
