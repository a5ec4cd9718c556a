//! Runs the tests of one program that may not be able to run everywhere: prints them as libtest does, and
//! counts those that can't run here as ignored, with the reason.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::{Command, ExitCode};

use libtest_mimic::{Arguments, Failed, Trial};

/// A test.
pub struct Case {
    /// Its name; also the stem of its namespaces' names.
    pub name: &'static str,
    /// What it needs of the machine.
    pub needs: &'static [Need],
    /// The test itself, which fails by panicking.
    pub run: fn(),
}

/// Something that not every machine has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Need {
    /// The right to make namespaces.
    Root,
    /// The kernel module netdevsim.
    Netdevsim,
    /// This many SR-IOV NICs, named by `LINKSPAN_PFS`.
    Pfs(usize),
    /// SR-IOV NICs that do what the test bed's do not, and what that is.
    HardwareThat(&'static str),
    /// A program.
    Tool(&'static str),
}

/// Declares tests by their functions' names.
#[macro_export]
macro_rules! cases {
    ($needs:expr; $($name:ident),+ $(,)?) => {
        [$($crate::harness::Case { name: stringify!($name), needs: $needs, run: $name }),+]
    };
}

/// Runs the tests that the command line asks for, one at a time: they share the machine's NICs.
///
/// On the test bed (`LINKSPAN_BED` is set) there is no excuse but that its NICs are emulated: any other
/// need that is not met is a failure.
#[must_use]
pub fn main(cases: impl IntoIterator<Item = Case>) -> ExitCode {
    let mut arguments = Arguments::from_args();
    arguments.test_threads = Some(1);
    let listing = arguments.list;
    let trials = cases.into_iter().map(|case| trial(case, listing)).collect();
    libtest_mimic::run(&arguments, trials).exit_code()
}

fn trial(Case { name, needs, run }: Case, listing: bool) -> Trial {
    let missing = needs.iter().find_map(Need::missing);
    let excused = needs.iter().any(|need| matches!(need, Need::HardwareThat(_)));
    let no_excuse = on_bed() && !excused;
    match missing {
        None => Trial::test(name, move || report(run)),
        Some(reason) if no_excuse => Trial::test(name, move || Err(Failed::from(reason))),
        Some(reason) => {
            if !listing {
                println!("skipped: {name}: {reason}");
            }
            Trial::test(name, || Ok(())).with_ignored_flag(true)
        }
    }
}

fn report(run: fn()) -> Result<(), Failed> {
    catch_unwind(AssertUnwindSafe(run)).map_err(|panic| {
        let text = panic.downcast_ref::<String>().map(String::as_str);
        let text = text.or_else(|| panic.downcast_ref::<&str>().copied());
        Failed::from(text.unwrap_or("the test panicked").to_owned())
    })
}

impl Need {
    /// Why this machine does not have it.
    fn missing(&self) -> Option<String> {
        let unless = |met: bool, reason: String| (!met).then_some(reason);
        match self {
            Self::Root => unless(is_root(), "it makes namespaces, which takes root".to_owned()),
            Self::Netdevsim => unless(
                std::path::Path::new("/sys/bus/netdevsim").exists(),
                "it needs the kernel module netdevsim, which the test bed has: `make test`"
                    .to_owned(),
            ),
            Self::Pfs(count) => unless(
                crate::bed::pfs().len() >= *count,
                format!("it needs {count} SR-IOV NICs, which the test bed has: `make test`"),
            ),
            Self::HardwareThat(does) => unless(
                !on_bed(),
                format!("it needs a NIC that {does}, which the test bed's emulated one does not"),
            ),
            Self::Tool(tool) => unless(
                Command::new(tool).arg("--version").output().is_ok(),
                format!("it needs the program {tool}"),
            ),
        }
    }
}

fn on_bed() -> bool {
    std::env::var_os("LINKSPAN_BED").is_some()
}

fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}
