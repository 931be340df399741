// Every public call that gives something, with what it gives ignored. tools/check compiles this file: each line of
// kept() must be warned about, no line of free_to_ignore() may be, and each call of the public headers must be here.
#include <spruce/debug.hpp>
#include <spruce/future_filter.hpp>
#include <spruce/interop.hpp>
#include <spruce/process.hpp>
#include <spruce/spruce.hpp>
#include <spruce/testing.hpp>
#include <array>
#include <span>

using namespace spruce;
using namespace std::chrono_literals;

extern loop& hub;
extern loop_ref& door;
extern loop_thread& thread;
extern handler& callback_name;
extern scoped_handler& owned;
extern host_turn& turn;
extern task<int>& work;
extern task_group& group;
extern task_pool& pool;
extern pool_results<int>& results;
extern task_local<int>& local;
extern future<int>& answer;
extern std::span<future<int>>& answers;
extern completions<int>& done_ones;
extern promise<int>& source;
extern future_callback<int>& back;
extern call_context<int>& context;
extern generator<int>& numbers;
extern yielder<int>& give;
extern event& flag;
extern semaphore& permits;
extern mutex& lock_of;
extern recursive_mutex& again;
extern condition_variable& change;
extern mutex::guard& held;
extern wait_group& left;
extern barrier& meeting;
extern channel<int>& belt;
extern queue<int>& jobs;
extern shared_channel<int>& far_belt;
extern shared_event& far_flag;
extern mailbox<int>& box;
extern emitter<int>& news;
extern event_bus<int>& bus;
extern called<int>& caller;
extern which<event&>& winner;
extern timer& beat;
extern one_shot_timer& once;
extern at_timer& daily;
extern weak_callable<int (*)(int)>& weak_one;
extern stream& wire;
extern reader& lines;
extern tcp_stream& tcp;
extern tcp_listener& port;
extern testing::simulation& world;
extern std::array<int, 3>& inputs;
extern char (&room)[64];
int number();
bool step();

void kept() {
    // -- waits
    yield();                                             // yield
    sleep_for(1ms);                                      // sleep_for
    sleep_until(time_point());                           // sleep_until
    flag.wait();                                         // event::wait
    permits.acquire();                                   // semaphore::acquire
    permits.try_acquire();                               // semaphore::try_acquire
    lock_of.lock();                                      // mutex::lock
    lock_of.try_lock();                                  // mutex::try_lock
    again.lock();                                        // recursive_mutex::lock
    again.try_lock();                                    // recursive_mutex::try_lock
    change.wait(held);                                   // condition_variable::wait
    change.wait(held, step);                             // condition_variable::wait
    left.wait();                                         // wait_group::wait
    meeting.wait();                                      // barrier::wait
    belt.send(1);                                        // channel::send
    belt.send(inputs[0]);                                // channel::send
    belt.try_send(1);                                    // channel::try_send
    belt.send_error(errc::broken);                       // channel::send_error
    belt.receive();                                      // channel::receive
    belt.try_receive();                                  // channel::try_receive
    belt.status();                                       // channel::status
    jobs.push(1);                                        // basic_queue::push
    jobs.try_push(1);                                    // basic_queue::try_push
    jobs.take();                                         // basic_queue::take
    jobs.try_take();                                     // basic_queue::try_take
    jobs.join();                                         // basic_queue::join
    far_belt.send(1);                                    // shared_channel::send
    far_belt.send(inputs[0]);                            // shared_channel::send
    far_belt.try_send(1);                                // shared_channel::try_send
    far_belt.try_send(inputs[0]);                        // shared_channel::try_send
    far_belt.receive();                                  // shared_channel::receive
    far_belt.try_receive();                              // shared_channel::try_receive
    far_flag.wait();                                     // shared_event::wait
    box.send({"name", 1});                               // mailbox::send
    box.receive({});                                     // mailbox::receive
    bus.post("name", 1);                                 // event_bus::post
    caller(1);                                           // called::operator()
    weak_one(1);                                         // weak_callable::operator()
    wait_any(flag, in(1s));                              // wait_any
    wait_all(flag, in(1s));                              // wait_all
    winner.get<0>();                                     // which::get

    // -- tasks
    work.join();                                         // task::join
    work.get();                                          // task::get
    std::move(work).get();                               // task::get
#if SPRUCE_EXCEPTIONS
    work.exception();                                    // task::exception
#endif
    group.join();                                        // task_group::join
    with_deadline(in(1s), number);                       // with_deadline
    with_deadline(in(1s), [](task_id) { return 1; });    // with_deadline
    pool.submit(number);                                 // task_pool::submit
    pool.try_submit(number);                             // task_pool::try_submit
    pool.map(inputs, [](int n) { return n; });           // task_pool::map
    pool.join();                                         // task_pool::join
    pool.shutdown();                                     // task_pool::shutdown
    results.next();                                      // pool_results::next
    local.get();                                         // task_local::get
    numbers.next();                                      // generator::next
    numbers.status();                                    // generator::status
#if SPRUCE_EXCEPTIONS
    numbers.exception();                                 // generator::exception
#endif
    give(1);                                             // yielder::operator()
    generator<int>([](yielder<int>&) {});                // generator::generator
    cancel_shield();                                     // cancel_shield::cancel_shield
    task_group();                                        // task_group::task_group

    // -- futures
    answer.wait();                                       // future::wait
    answer.get();                                        // future::get
    std::move(answer).get();                             // future::get
    answer.shield();                                     // future::shield
#if SPRUCE_EXCEPTIONS
    answer.exception();                                  // future::exception
    source.fail(std::exception_ptr());                   // promise::fail
    back(std::exception_ptr());                          // future_callback::operator()
#endif
    source.set(1);                                       // promise::set
    source.fail(errc::broken);                           // promise::fail
    source.follow(answer);                               // promise::follow
    back(1);                                             // future_callback::operator()
    back(error(errc::broken));                           // future_callback::operator()
    interval_of(answer);                                 // interval_of
    when_all(answer, answer);                            // when_all
    when_all(answers);                                   // when_all
    when_any(answer, answer);                            // when_any
    when_any(answers);                                   // when_any
    when_any([](auto&) { return false; }, answer);       // when_any
    when_any([](auto&) { return false; }, answers);      // when_any
    as_completed(answers);                               // as_completed
    done_ones.next();                                    // completions::next
    delay(1s);                                           // delay
    delay(in(1s));                                       // delay
    time_limit(answer, in(1s));                          // time_limit
    as_future(answer);                                   // as_future
    as_future(news);                                     // as_future
    as_future(std::move(work));                          // as_future
    as_future(flag);                                     // as_future
    as_future<readable>(1);                              // as_future

    // -- loops
    run(number);                                         // run
    run({}, number);                                     // run
    loop::current();                                     // loop::current
    hub.status();                                        // loop::status
    hub.run();                                           // loop::run
    hub.run_forever();                                   // loop::run_forever
    hub.run_once();                                      // loop::run_once
    hub.run_until(step);                                 // loop::run_until
    hub.run_until(work);                                 // loop::run_until
    run_host_until(work, step);                          // run_host_until
    hub.destroy();                                       // loop::destroy
    hub.hold();                                          // loop::hold
    hub.prepare();                                       // loop::prepare
    hub.dispatch();                                      // loop::dispatch
    hub.add_reader(1, step);                             // loop::add_reader
    hub.add_writer(1, step);                             // loop::add_writer
    hub.add_signal_handler(1, step);                     // loop::add_signal_handler
    hub.add_child_handler(1, [](result<exit_status>) {});   // loop::add_child_handler
    hub.make_waker(step);                                // loop::make_waker
    hub.call_from_thread(step);                          // loop::call_from_thread
    door.call(step);                                     // loop_ref::call
    door.call_wait(step);                                // loop_ref::call_wait
    run_on(door, step);                                  // run_on
    loop_thread::start();                                // loop_thread::start
    thread.join();                                       // loop_thread::join
    callback_name.due();                                 // handler::due
    scoped_handler{callback_name};                       // scoped_handler::scoped_handler
    daemonize();                                         // daemonize
    debug::report_overflows();                           // debug::report_overflows
    debug::watch_stalls(1s);                             // debug::watch_stalls
    debug::census_on_signal(1);                          // debug::census_on_signal

    // -- emitters and timers
    news.connect([](int) {});                            // emitter::connect
    news.connect_first([](int) {});                      // emitter::connect_first
    news.connect_once([](int) {});                       // emitter::connect_once
    news.forward_to(news);                               // emitter::forward_to
    news.on_change([](connection_change) {});            // emitter::on_change
    emit_when_connected(news, 1);                        // emit_when_connected
    bus.subscribe({}, [](std::string_view, int) {});     // event_bus::subscribe
    timed(1s, step);                                     // timed
    timer{step};                                         // timer::timer
    one_shot_timer{step};                                // one_shot_timer::one_shot_timer
    at_timer{step};                                      // at_timer::at_timer
    daily.next();                                        // at_timer::next

    // -- streams
    stream::adopt(1);                                    // stream::adopt
    wire.release();                                      // stream::release
    wire.read(room);                                     // stream::read
    wire.write("text");                                  // stream::write
    wire.write(std::span<const_bytes const>());          // stream::write
    wire.write_some("text");                             // stream::write_some
    lines.read_exactly(1);                               // reader::read_exactly
    lines.read_until({"x"});                             // reader::read_until
    lines.read_line();                                   // reader::read_line
    lines.read_some();                                   // reader::read_some
    make_pipe();                                         // make_pipe
    address::parse("127.0.0.1:80");                      // address::parse
    tcp_stream::connect("127.0.0.1:80");                 // tcp_stream::connect
    tcp_stream::connect(tcp.peer());                     // tcp_stream::connect
    tcp_listener::listen("127.0.0.1:80");                // tcp_listener::listen
    port.accept();                                       // tcp_listener::accept

    // -- a simulated kernel
    world.make_pipe();                                   // testing::simulation::make_pipe
    world.make_socketpair();                             // testing::simulation::make_socketpair
    world.make_file();                                   // testing::simulation::make_file
    world.make_fifo();                                   // testing::simulation::make_fifo
    world.open_writer(1);                                // testing::simulation::open_writer
    world.listen();                                      // testing::simulation::listen
    world.connect(1);                                    // testing::simulation::connect
    world.accept(1);                                     // testing::simulation::accept
    world.port_of(1);                                    // testing::simulation::port_of
    world.duplicate(1);                                  // testing::simulation::duplicate
    world.read(1, room, sizeof room);                    // testing::simulation::read
    world.write(1, "text");                              // testing::simulation::write
    world.spawn_child();                                 // testing::simulation::spawn_child
}

// Names of what goes on without them, and errors of calls by which nothing is lost.
void free_to_ignore() {
    spawn(number);                                       // spawn
    spawn({.name = "x"}, number);                        // spawn
    group.spawn(number);                                 // task_group::spawn
    group.spawn({.name = "x"}, number);                  // task_group::spawn
    run_now(work);                                       // run_now
    work.cancel();
    work.on_done(step);                                  // task::on_done
    answer.cancel();
    answer.on_done([](result<int> const&) {});           // future::on_done
    answer.on_progress([](progress const&) {});          // future::on_progress
    source.get_future();                                 // promise::get_future
    source.report(1, 2);                                 // promise::report
    source.on_cancel(step);                              // promise::on_cancel
    back.get_future();                                   // future_callback::get_future
    back.on_cancel(step);                                // future_callback::on_cancel
    context.last();                                      // call_context::last
    context.report(1, 2);                                // call_context::report
    set_interval(answer, 1s);                            // set_interval
    set_active(answer, true);                            // set_active
    async_function([] {})();
    permits.release();                                   // semaphore::release
    jobs.task_done();                                    // basic_queue::task_done
    left.done();                                         // wait_group::done
    change.notify_all();
    news.emit(1);
    bound(step);                                         // bound
    bound_first(step);                                   // bound_first
    bound_alone(step);                                   // bound_alone
    beat.start(1s);                                      // timer::start
    once.start(1s);                                      // one_shot_timer::start
    daily.start();                                       // at_timer::start
    hub.call_soon(step);                                 // loop::call_soon
    hub.call_later(1s, step);                            // loop::call_later
    hub.call_at(time_point(), step);                     // loop::call_at
    hub.call_every(1s, step);                            // loop::call_every
    hub.call_when_idle(step);                            // loop::call_when_idle
    hub.on_start(step);                                  // loop::on_start
    hub.on_start(start_phase::before, step);             // loop::on_start
    hub.on_turn(step);                                   // loop::on_turn
    hub.on_shutdown(shutdown_phase::before, step);       // loop::on_shutdown
    hub.on_exit(step);                                   // loop::on_exit
    hub.advance(1s);                                     // loop::advance
    hub.stop();                                          // loop::stop
    hub.leave();                                         // loop::leave
    hub.destroy_at_exit();                               // loop::destroy_at_exit
    hub.interleave([](host_turn) {});                    // loop::interleave
    hub.after_fork();                                    // loop::after_fork
    door.stop();                                         // loop_ref::stop
    thread.stop();                                       // loop_thread::stop
    callback_name.cancel();
    owned.release();                                     // scoped_handler::release
    turn();
    set_process_memory({});                              // set_process_memory
    debug::report_deadlocks();                           // debug::report_deadlocks
    debug::report_leaks();                               // debug::report_leaks
    wire.shut_write();                                   // stream::shut_write
    tcp.no_delay(true);                                  // tcp_stream::no_delay
    world.close(1);                                      // testing::simulation::close
    world.send_urgent(1);                                // testing::simulation::send_urgent
    world.shutdown_write(1);                             // testing::simulation::shutdown_write
    world.reset(1);                                      // testing::simulation::reset
    world.end_child(1, 1);                               // testing::simulation::end_child
    world.kill_child(1, 1);                              // testing::simulation::kill_child
    world.steal_status(1);                               // testing::simulation::steal_status
}
