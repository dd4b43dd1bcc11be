//! What `belay supervise DIR` is, without the rest of belay: for the tests of this crate.

fn main() -> std::process::ExitCode {
    let mut arguments = std::env::args_os().skip(1);
    let (Some(verb), Some(directory)) = (arguments.next(), arguments.next()) else {
        eprintln!("usage: supervise DIR");
        return 2.into();
    };
    assert_eq!(verb, "supervise");
    belay_driver_process::supervisor::main(std::path::Path::new(&directory))
}
