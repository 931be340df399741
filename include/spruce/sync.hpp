// What tasks of one loop wait for among themselves: all of it.
#pragma once
#include "barrier.hpp"
#include "bound.hpp"
#include "condition_variable.hpp"
#include "event.hpp"
#include "mutex.hpp"
#include "semaphore.hpp"
#include "wait_group.hpp"
