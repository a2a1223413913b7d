//! Signals that end the program: SIGINT (Ctrl-C), SIGTERM and SIGHUP.
//!
//! A command that can end its input early does so at the first one and finishes its output. Others end at once, and so does
//! every command at the second one; hidden files of outputs are removed first, and a program that was started is ended.

use std::process::{Child, ExitStatus};
use std::sync::atomic::{AtomicBool, AtomicI32, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use latentbit_media::remove_unfinished;

use crate::exit::Exit;

/// The first signal that came; 0 for none.
static CAUGHT: AtomicI32 = AtomicI32::new(0);

/// Whether the command ends its input early when a signal comes.
static ENDS_INPUT: AtomicBool = AtomicBool::new(false);

/// Whether input was ended early for a signal.
static ENDED: AtomicBool = AtomicBool::new(false);

/// A program that ends when this one does.
static COMPANION: Mutex<Option<Child>> = Mutex::new(None);

/// How often it is looked whether a program has ended.
const LOOK: Duration = Duration::from_millis(20);

/// How often it is looked before a program that got the same signal is ended by force: half a second.
const PATIENCE: u32 = 25;

/// Stands for a signal where the system has none, or where the program ends its input by itself.
const BY_ITSELF: i32 = 2;

/// Waits for signals from now on.
pub fn watch() {
    if let Err(error) = start_watching() {
        tracing::debug!("signals will end the program at once, and may leave hidden files: {error}");
    }
}

/// Says that the command finishes its output when its input ends early.
pub fn listen() {
    ENDS_INPUT.store(true, Ordering::Relaxed);
}

/// Ends the input as a signal does.
pub fn stop() {
    let _ = CAUGHT.compare_exchange(0, BY_ITSELF, Ordering::Relaxed, Ordering::Relaxed);
}

/// Whether to take no more input. Whoever is told so takes no more.
pub fn interrupted() -> bool {
    let interrupted = CAUGHT.load(Ordering::Relaxed) != 0;
    if interrupted {
        ENDED.store(true, Ordering::Relaxed);
    }
    interrupted
}

/// How the command ends if its input was ended early.
pub fn ended_early() -> Option<Exit> {
    let ended = ENDED.load(Ordering::Relaxed);
    ended.then(|| Exit::by_signal(CAUGHT.load(Ordering::Relaxed)))
}

/// Has a program end when this one is ended by a signal, and until [`part`] gives its end.
pub fn accompany(program: Child) {
    *COMPANION.lock().unwrap_or_else(PoisonError::into_inner) = Some(program);
}

/// Waits for the program's end.
///
/// # Errors
/// If the system does not tell, or there is no such program.
pub fn part() -> std::io::Result<ExitStatus> {
    loop {
        // A signal must find the lock free most of the time.
        let mut companion = COMPANION.lock().unwrap_or_else(PoisonError::into_inner);
        let program = companion.as_mut().ok_or(std::io::ErrorKind::NotFound)?;
        if let Some(status) = program.try_wait()? {
            *companion = None;
            return Ok(status);
        }
        drop(companion);
        std::thread::sleep(LOOK);
    }
}

/// Sees to the end of the program, if there is one.
fn end_companion(program: &mut Child) {
    // A terminal sends Ctrl-C to both, and a program that ends by itself leaves things in order.
    for _ in 0..PATIENCE {
        if !matches!(program.try_wait(), Ok(None)) {
            return;
        }
        std::thread::sleep(LOOK);
    }
    let _ = program.kill();
    let _ = program.wait();
}

/// What to do about a signal.
fn take(signal: i32) {
    let first = CAUGHT
        .compare_exchange(0, signal, Ordering::Relaxed, Ordering::Relaxed)
        .is_ok();
    if first && ENDS_INPUT.load(Ordering::Relaxed) {
        return;
    }
    remove_unfinished();
    // Held to the end: whoever waits for the program must not end this one first, with another code.
    let mut companion = COMPANION.lock().unwrap_or_else(PoisonError::into_inner);
    companion.as_mut().into_iter().for_each(end_companion);
    end(Exit::by_signal(signal) as i32);
}

#[cfg(unix)]
fn start_watching() -> std::io::Result<()> {
    use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
    use signal_hook::iterator::Signals;
    // Whoever started the program may have it go on, as nohup does and shells do in the background.
    let ignored = ignored_signals();
    let wanted = [SIGINT, SIGTERM, SIGHUP].into_iter();
    let mut signals = Signals::new(wanted.filter(|signal| ignored >> (signal - 1) & 1 == 0))?;
    let thread = std::thread::Builder::new().name("signals".to_owned());
    thread.spawn(move || signals.forever().for_each(take)).map(drop)
}

/// A bit for each signal, the first one lowest.
#[cfg(unix)]
fn ignored_signals() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    line.and_then(|bits| u64::from_str_radix(bits.trim(), 16).ok())
        .unwrap_or(0)
}

#[cfg(unix)]
fn end(code: i32) -> ! {
    // At once: other threads are at work with what an orderly end would take down.
    signal_hook::low_level::exit(code)
}

#[cfg(not(unix))]
fn start_watching() -> Result<(), ctrlc::Error> {
    ctrlc::set_handler(|| take(BY_ITSELF))
}

#[cfg(not(unix))]
fn end(code: i32) -> ! {
    std::process::exit(code)
}
