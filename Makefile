# Spruce. No configure step: make, make PROFILE=embedded, make test, make demo, make bench, make bench-report,
# make install.
# Honours CC CXX AR CPPFLAGS CXXFLAGS LDFLAGS CROSS_COMPILE PREFIX DESTDIR; VARIANT=asan|tsan|ucontext builds beside.
# PCH= does without the tests' common headers being compiled once; TEST_OPTIMISE=-O2 compiles the tests themselves so.

PROFILE ?= hosted
VARIANT ?=
PCH     ?= 1
PREFIX  ?= /usr/local
ifeq ($(origin CXX),default)
CXX := $(CROSS_COMPILE)g++
endif
ifeq ($(origin AR),default)
AR := $(CROSS_COMPILE)ar
endif
CXXFLAGS ?= -g
# make V=1 shows the commands.
V ?= 0
Q := $(if $(filter 0,$V),@)
say = $(if $(filter 0,$V),@printf '  %s\n' "$1")

# Each profile, variant and foreign compiler has a folder of its own.
compiler := $(notdir $(firstword $(CXX)))
B := build/$(PROFILE)$(if $(VARIANT),-$(VARIANT))$(if $(filter-out g++ c++,$(compiler)),-$(compiler))

warnings := -Wall -Wextra -Wpedantic -Wconversion -Wshadow
common   := -std=c++20 -Iinclude -MMD -MP $(warnings)
# (Where a program's calls are bound late, small stacks without guards are refused: docs/stacks.md.)
ifeq ($(PROFILE),hosted)
common   += -DSPRUCE_EXCEPTIONS=1
optimise ?= -O2
user     :=
link     := -Wl,-z,now
else ifeq ($(PROFILE),embedded)
common   += -DSPRUCE_EXCEPTIONS=0 -ffunction-sections -fdata-sections
optimise ?= -Os
user     := -fno-exceptions -fno-rtti
link     := -Wl,--gc-sections,-z,now
else
$(error PROFILE is hosted or embedded)
endif
ifeq ($(VARIANT),asan)
# gcc takes what the sanitizers add for uses of what is not set. Their tables are full of addresses, which each process of
# a test would relocate as it begins, where a program's own address is not fixed.
instrument := -Wno-maybe-uninitialized -fsanitize=address,undefined -fno-sanitize-recover=undefined -fno-omit-frame-pointer
link       += -no-pie
optimise   := -O1
TEST_OPTIMISE ?= -O0
# In the tests a null pointer ends the program anyhow; to look for one before each use is a quarter of their compile time.
tests_without := -fno-sanitize=null,vptr
else ifeq ($(VARIANT),tsan)
instrument := -Wno-maybe-uninitialized -fsanitize=thread
link       += -no-pie
optimise   := -O1
TEST_OPTIMISE ?= -O0
else ifeq ($(VARIANT),ucontext)
instrument := -DSPRUCE_USE_UCONTEXT=1
else ifneq ($(VARIANT),)
$(error VARIANT is asan, tsan, ucontext or nothing)
endif
# Half of a configuration's time goes into optimising its tests.
TEST_OPTIMISE ?= -O1
flags   := $(common) $(optimise) $(instrument) $(CPPFLAGS) $(CXXFLAGS)
test_flags = $(common) $(TEST_OPTIMISE) $(instrument) $(tests_without) $(CPPFLAGS) $(CXXFLAGS)
# The library itself knows neither exceptions nor RTTI, in either profile, but is unwound through.
library := -fno-exceptions -fno-rtti -fasynchronous-unwind-tables -fvisibility=hidden -ffunction-sections -fdata-sections

sources  := $(wildcard src/*/*.cpp)
assembly := $(wildcard src/*/*.S)
objects  := $(patsubst src/%,$B/lib/%.o,$(sources) $(assembly))
tests    := $(wildcard test/*/*.cpp)
serve    := $(wildcard tools/spruce-serve/*.cpp)
demo     := $(wildcard tools/demo/*.cpp)
examples := $(wildcard docs/examples/*.cpp)
ifeq ($(PROFILE),embedded)
examples := $(shell grep -L '^// needs: exceptions' $(examples) /dev/null | grep -v /dev/null)
endif
benches  := $(wildcard bench/bench_*.cpp)
# The variant "ucontext" differs in the library alone, and in the tests that reach into what knows its switch: it takes
# the other objects of the build beside it.
T := $(B:%-ucontext=%)
own_tests     := $(if $(filter ucontext,$(VARIANT)),$(shell grep -lE 'src/(context|task|debug|sync|message|future)/' $(tests)),$(tests))
shared_tests  := $(filter-out $(own_tests),$(tests))
test_objects  := $(patsubst %.cpp,$B/%.o,$(own_tests) $(filter-out %/main.cpp,$(serve))) $(patsubst %.cpp,$T/%.o,$(shared_tests))
serve_objects := $(patsubst %.cpp,$B/%.o,$(serve))
demo_objects  := $(patsubst %.cpp,$B/%.o,$(demo))
example_programs := $(patsubst docs/examples/%.cpp,$B/examples/%,$(examples))
bench_programs   := $(patsubst bench/%.cpp,$B/bench/%,$(benches))

# Only what a chain of rules makes on its way; of all others make must miss what is not there.
.SECONDARY: $(patsubst %.cpp,$B/%.o,$(examples))

# What each is made of, in a file that is written anew only when the list changes: so also what was taken away is seen.
$(shell mkdir -p $B)
list_of = $B/$1.list$(if $(call differ,$(file <$B/$1.list),$2),$(file >$B/$1.list,$2))
differ  = $(filter-out $1,$2)$(filter-out $2,$1)
.PHONY: all test build-demo check demo bench bench-report programs install amalgamation clean
all: $B/libspruce.a

$B/libspruce.a: $(objects) $(call list_of,libspruce,$(objects))
	@rm -f $@
	$(call say,archive $@)
	$(Q)$(AR) rcs $@ $(objects)

$B/lib/%.cpp.o: src/%.cpp
	@mkdir -p $(@D)
	$(call say,compile $<)
	$(Q)$(CXX) $(flags) $(library) -c $< -o $@
$B/lib/%.S.o: src/%.S
	@mkdir -p $(@D)
	$(call say,compile $<)
	$(Q)$(CXX) $(instrument) $(CPPFLAGS) $(CXXFLAGS) -c $< -o $@
$B/test/%.o: test/%.cpp
	@mkdir -p $(@D)
	$(call say,compile $<)
	$(Q)$(CXX) $(test_flags) $(user) -c $< -o $@
ifneq ($T,$B)
$T/test/%.o: test/%.cpp
	@mkdir -p $(@D)
	$(call say,compile $<)
	$(Q)$(CXX) $(filter-out $(instrument),$(test_flags)) $(user) -c $< -o $@
endif
$B/%.o: %.cpp
	@mkdir -p $(@D)
	$(call say,compile $<)
	$(Q)$(CXX) $(flags) $(user) -c $< -o $@

# They try orders by the hundred thousand.
$(filter $B/test/atomics/% $T/test/atomics/%,$(test_objects)): TEST_OPTIMISE := -O2

ifneq ($(PCH),)
# What the tests of these parts include is compiled once. Both compilers find it behind -include. (Others reach into the
# library, where names of ours are meant otherwise.)
common_headers := $T/test/common_headers.hpp
with_common    := $(filter $(patsubst %,$T/test/%/%.o,loop task debug sync message future io model interop),$(test_objects))
$(with_common): test_flags += -include $(common_headers)
$(with_common): $(common_headers).gch
$(common_headers).gch: test/harness/common_headers.hpp
	@mkdir -p $(@D)
	@echo '#include "$(CURDIR)/$<"' > $(common_headers)
	$(call say,compile $<)
	$(Q)$(CXX) $(filter-out $(if $(shared_tests),$(instrument)),$(test_flags)) $(user) -MF $@.d -MT $@ -x c++-header $(common_headers) -o $@
endif

$B/spruce-test: $(test_objects) $B/libspruce.a $(call list_of,spruce-test,$(test_objects))
	$(call say,link $@)
	$(if $(shared_tests),@! grep -l context/switch.hpp $(patsubst %.cpp,$T/%.d,$(shared_tests)))   # these see it, too
	$(Q)$(CXX) $(instrument) $(link) $(LDFLAGS) $(filter-out %.list,$^) -o $@ -pthread
$B/spruce-serve: $(serve_objects) $B/libspruce.a $(call list_of,spruce-serve,$(serve_objects))
	$(call say,link $@)
	$(Q)$(CXX) $(instrument) $(link) $(LDFLAGS) $(filter-out %.list,$^) -o $@ -pthread
$B/demo: $(demo_objects) $B/libspruce.a $(call list_of,demo,$(demo_objects))
	$(call say,link $@)
	$(Q)$(CXX) $(instrument) $(link) $(LDFLAGS) $(filter-out %.list,$^) -o $@ -pthread
$B/examples/%: $B/docs/examples/%.o $B/libspruce.a
	@mkdir -p $(@D)
	$(call say,link $@)
	$(Q)$(CXX) $(instrument) $(link) $(LDFLAGS) $^ -o $@ -pthread
# A benchmark names the libraries it compares with in a line "// links: …"; those that are not found are left out.
$B/bench/%: bench/%.cpp $B/libspruce.a
	@mkdir -p $(@D)
	$(call say,benchmark $@)
	$(Q)$(CXX) $(flags) $(user) $< $B/libspruce.a $(link) $(LDFLAGS) -o $@ -pthread $$(tools/bench-libraries $(CXX) $<)

programs: $B/spruce-test $(example_programs) $(if $(serve),$B/spruce-serve) $(if $(demo),$B/demo)

test: all programs
	tools/run-tests $B $(TESTFLAGS)
check:
	tools/check --self-test
	tools/check
	tools/mission-count --check
	tools/bench-report --self-test
# What the demo needs, and nothing more.
build-demo: $B/spruce-serve $B/demo
demo: build-demo
	$B/demo $B/spruce-serve
bench: $(bench_programs)
	tools/run-bench $(BENCHFLAGS) $B
# Of the last make bench.
bench-report:
	tools/bench-report $(REPORTFLAGS) $B/bench.json

install: all
	tools/install $B "$(DESTDIR)$(PREFIX)" "$(PREFIX)"
amalgamation:
	tools/amalgamate build/amalgamation
clean:
	rm -rf build

-include $(shell find $B $T -name '*.d' 2>/dev/null)
