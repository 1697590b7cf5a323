//! Instructions that each step of a request executes: `cargo bench --bench instructions [filter]`.
//!
//! Times move with the weather, instructions hardly: a change of a percent is a change of the code. Valgrind's callgrind counts
//! them. Each step is taken 1,000 and 2,000 times in processes of their own, and the difference is what 1,000 take:
//! starting up and making ready cost the same in both.

#[path = "../even.rs"]
mod even;
#[path = "../steps.rs"]
mod steps;

use std::env;
use std::process::{Command, ExitCode};

/// As in the program: some steps allocate.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const TIMES: u64 = 1000;

/// The variable that makes a child of this program take a step, and says how often.
const CHILD: &str = "PLIMSOLL_STEP_TIMES";

fn main() -> ExitCode {
    let words: Vec<_> = env::args().skip(1).filter(|word| !word.starts_with("--")).collect();
    if let Some(times) = env::var(CHILD).ok().and_then(|times| times.parse().ok()) {
        take(words.first().map_or("", String::as_str), times);
        return ExitCode::SUCCESS;
    }
    let filter = words.first().map_or("", String::as_str);
    println!("{:<32}{:>24}", "step", "instructions each time");
    for (name, _) in steps::all().into_iter().filter(|(name, _)| name.contains(filter)) {
        match counted(&name, TIMES).and_then(|once| Ok(counted(&name, 2 * TIMES)?.saturating_sub(once))) {
            Ok(difference) => println!("{name:<32}{:>24}", difference / TIMES),
            Err(why) => {
                eprintln!("cannot count instructions: {why}");
                return ExitCode::FAILURE;
            }
        }
    }
    ExitCode::SUCCESS
}

fn take(name: &str, times: u64) {
    let mut steps = steps::all();
    let step = steps.iter_mut().find(|(known, _)| known == name).expect("a step of this name");
    (0..times).for_each(|_| step.1());
}

/// Instructions of a whole process that takes the step so often.
fn counted(name: &str, times: u64) -> Result<u64, String> {
    let program = env::current_exe().map_err(|error| error.to_string())?;
    let output = Command::new("valgrind")
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null"])
        .arg(program)
        .arg(name)
        .env(CHILD, times.to_string())
        .output()
        .map_err(|error| format!("valgrind does not start ({error}): install it (Debian: valgrind)"))?;
    let said = String::from_utf8_lossy(&output.stderr);
    let count = said.lines().find_map(|line| line.split_once("Collected :")?.1.trim().parse().ok());
    count.filter(|_| output.status.success()).ok_or_else(|| format!("valgrind says: {said}"))
}
