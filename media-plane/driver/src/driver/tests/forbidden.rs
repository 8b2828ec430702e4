//! Hosts that forbid what a driver would like to use, as seccomp profiles of containers do.

use super::*;

/// `struct seccomp_data`: the number of the system call, then from byte 16 on its arguments of 64 bits, lower half first.
const NUMBER: u32 = 0;
const LEVEL: u32 = 16 + 8;
const OPTION: u32 = 16 + 16;

/// Where a system call's word must have which value for it to be refused.
type Rule = &'static [(u32, i64)];

const NO_IO_URING: (Rule, i32) = (&[(NUMBER, libc::SYS_io_uring_setup)], libc::EPERM);
const NO_SEGMENTS: (Rule, i32) = (
    &[(NUMBER, libc::SYS_setsockopt), (LEVEL, libc::SOL_UDP as i64), (OPTION, libc::UDP_SEGMENT as i64)],
    libc::ENOPROTOOPT,
);

/// From here on the calling thread, and no other, is refused what the rule says.
fn forbid((rule, error): (Rule, i32)) {
    let statement =
        |code: u32, k: u32, jf: u8| libc::sock_filter { code: u16::try_from(code).unwrap(), jt: 0, jf, k };
    let mut program = Vec::new();
    for (index, (offset, value)) in rule.iter().enumerate() {
        program.push(statement(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, *offset, 0));
        // Past the rest of the rule and the refusal, two for each word.
        let past = u8::try_from(2 * (rule.len() - index) - 1).unwrap();
        program.push(statement(
            libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K,
            u32::try_from(*value).unwrap(),
            past,
        ));
    }
    let refusal = libc::SECCOMP_RET_ERRNO | u32::try_from(error).unwrap();
    program.push(statement(libc::BPF_RET | libc::BPF_K, refusal, 0));
    program.push(statement(libc::BPF_RET | libc::BPF_K, libc::SECCOMP_RET_ALLOW, 0));
    let filter =
        libc::sock_fprog { len: u16::try_from(program.len()).unwrap(), filter: program.as_mut_ptr() };
    // SAFETY: the filter and its program are readable and outlive the calls; both concern this thread alone.
    unsafe {
        assert_eq!(libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), 0);
        assert_eq!(libc::prctl(libc::PR_SET_SECCOMP, libc::SECCOMP_MODE_FILTER, &raw const filter), 0);
    }
}

fn on_a_thread_without(rules: &'static [(Rule, i32)], check: fn()) {
    let run = move || {
        rules.iter().for_each(|rule| forbid(*rule));
        check();
    };
    std::thread::spawn(run).join().unwrap();
}

#[test]
fn without_io_uring_auto_takes_epoll_and_works() {
    on_a_thread_without(&[NO_IO_URING], || {
        let bell = Doorbell::new().unwrap();
        let options = |io| Options {
            io,
            gso: Gso::Auto,
            address: None,
            port: 0,
            shares_port: false,
            flush_delay: Duration::ZERO,
            send_slots: 64,
        };
        let refused = Driver::open(&options(Io::IoUring), &bell, Clock::start());
        assert!(matches!(refused, Err(OpenError::IoUring(_))), "{refused:?}");
        let mut driver = Driver::open(&options(Io::Auto), &bell, Clock::start()).unwrap();
        assert_eq!(driver.name(), "epoll");
        let (socket, _) = client("127.0.0.1");
        socket.send_to(b"abc", ("127.0.0.1", driver.port())).unwrap();
        assert_eq!(echo(&mut driver, 1).len(), 1);
    });
}

#[test]
fn without_segmentation_packets_leave_one_by_one() {
    on_a_thread_without(&[NO_SEGMENTS], || {
        for io in BACK_ENDS {
            let bell = Doorbell::new().unwrap();
            let mut driver = open(io, &bell);
            let (socket, path) = client("127.0.0.1");
            (0..8).for_each(|number| post(driver.outbox(), &path, number, 1000));
            driver.flush();
            assert_eq!(receive(&socket, 8).len(), 8, "{io:?}");
            settle(&mut driver);
            let counters = driver.counters();
            assert_eq!((counters.sends, counters.trains_refused), (8, 0), "{io:?}");
        }
    });
}
