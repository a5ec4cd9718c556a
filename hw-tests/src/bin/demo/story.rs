//! How the story is told: numbered steps, each with its own lines below it, its end and its time.

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Instant;

use anyhow::Result;

/// A story that is being told on stdout.
pub(crate) struct Story {
    began: Instant,
    /// The number of the last step.
    number: Cell<u32>,
}

/// A step was not true.
#[derive(Debug)]
pub(crate) struct StepFailed {
    number: u32,
    title: String,
}

impl Story {
    pub(crate) fn begin() -> Self {
        // Among the story's lines, and without a backtrace.
        std::panic::set_hook(Box::new(|panic| say(&panic.to_string())));
        Self { began: Instant::now(), number: Cell::new(0) }
    }

    /// How long it has been going on.
    pub(crate) fn seconds(&self) -> f64 {
        self.began.elapsed().as_secs_f64()
    }

    /// Tells one step: its title, what `work` prints, and whether it was true. `work` may panic, as
    /// what it shares with the tests does.
    pub(crate) fn step<T>(
        &self,
        title: &str,
        work: impl FnOnce() -> Result<T>,
    ) -> Result<T, StepFailed> {
        let number = self.number.get() + 1;
        self.number.set(number);
        let start = self.seconds();
        println!("\n[{start:>5.1} s]  {number}. {title}");
        let outcome = catch_unwind(AssertUnwindSafe(work));
        let took = self.seconds() - start;
        let failed = StepFailed { number, title: title.to_owned() };
        match outcome {
            Ok(Ok(value)) => {
                say(&format!("ok, {took:.1} s"));
                Ok(value)
            }
            Ok(Err(error)) => {
                say(&format!("FAILED after {took:.1} s: {error:#}"));
                Err(failed)
            }
            // The panic's own message stands above.
            Err(_) => {
                say(&format!("FAILED after {took:.1} s"));
                Err(failed)
            }
        }
    }
}

impl std::fmt::Display for StepFailed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "step {}: {}", self.number, self.title)
    }
}

/// Prints lines below the title of their step.
pub(crate) fn say(lines: &str) {
    for line in lines.lines() {
        println!("    {line}");
    }
}
