// Addresses and TCP: all of it.
#pragma once
#include "address.hpp"
#include "io.hpp"
#include "tcp_listener.hpp"
#include "tcp_stream.hpp"
