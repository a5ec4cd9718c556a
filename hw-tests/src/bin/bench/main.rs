//! `make bench`: what ADD and DEL cost, beside the reference plugin macvlan and the kernel's own work, measured in
//! one run.

mod changes;
mod cost;
mod crowd;
mod daemon;
mod install;
mod kernel;
mod leases;
mod options;
mod page;
mod place;
mod plot;
mod plugin;
mod promises;
mod race;
mod report;
mod samples;
mod scenario;
mod table;
mod vfs;

use std::fs;
use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context, Result};

use cost::Costs;
use install::Installed;
use options::Options;
use plugin::Plugin;
use race::{Outcome, Programs};
use report::Setting;
use scenario::{ALL, Addressing, Scenario};

/// All that was measured.
#[derive(Default)]
struct Results {
    outcomes: Vec<Outcome>,
    crowds: Vec<Outcome>,
    costs: Vec<Costs>,
    vfs: Vec<Outcome>,
    daemons: Vec<daemon::Measured>,
    leases: leases::Measured,
}

impl Results {
    fn outcome(&self, name: &str) -> Option<&Outcome> {
        self.outcomes.iter().find(|outcome| outcome.name == name)
    }
}

fn main() -> ExitCode {
    match Options::parse(std::env::args().skip(1)).and_then(|options| run(&options)) {
        Ok(status) => status,
        Err(error) => {
            eprintln!("bench: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(options: &Options) -> Result<ExitCode> {
    if options.measure_vfs {
        let outcomes = vfs::measure(&options.statics, options.share)?;
        println!("{}", serde_json::to_string(&outcomes)?);
        return Ok(ExitCode::SUCCESS);
    }
    let mut results = Results::default();
    if let Some(file) = &options.vfs {
        results.vfs = vfs::read(file)?;
    }
    place::enter()?;
    let folder = tempfile::tempdir()?;
    let installed = Installed::new(&options.statics, &options.reference, folder.path())?;
    let programs = Programs {
        linkspan: Plugin::new(&installed.linkspan, "macvlan")?,
        reference: Plugin::new(&installed.reference, "macvlan")?,
    };
    let setting = Setting::here(&programs)?;
    measure(&mut results, &programs, &installed, options, folder.path())?;

    println!("{}{}", setting.describe(), page::sections(&results));
    if let Some(folder) = &options.write {
        write(folder, &setting, &results)
            .with_context(|| format!("can't write to {}", folder.display()))?;
    }
    let kept = promises::judge(&results).iter().all(|promise| promise.kept);
    Ok(if kept || !options.check { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn measure(
    results: &mut Results,
    programs: &Programs,
    installed: &Installed,
    options: &Options,
    folder: &Path,
) -> Result<()> {
    let statics = &installed.linkspan;
    let wanted = |addressing: &Addressing| addressing.name().contains(&options.only);
    for addressing in ALL.into_iter().filter(wanted) {
        eprintln!("bench: macvlan, {}", addressing.name());
        let scenario = Scenario::new(addressing, &folder.join("networks"))?;
        results.outcomes.push(race::race(programs, statics, &scenario, options.share)?);
    }
    let usual = [Addressing::None, Addressing::HostLocal { taken: 0 }];
    for addressing in usual.into_iter().filter(wanted) {
        eprintln!("bench: {} at once, memory and system calls, {}", crowd::SIZE, addressing.name());
        let scenario = Scenario::new(addressing, &folder.join("crowd"))?;
        results.crowds.push(crowd::crowd(programs, &scenario, options.share)?);
        results.costs.push(cost::costs(programs, statics, &scenario)?);
    }
    if leases::NAME.contains(&options.only) {
        eprintln!("bench: {}", leases::NAME);
        results.leases = leases::measure(programs, installed, options.share, folder)?;
    }
    if daemon::NAME.contains(&options.only) {
        eprintln!("bench: {}", daemon::NAME);
        results.daemons = daemon::measure(options.share, &folder.join("nodes"))?;
    }
    Ok(())
}

fn write(folder: &Path, setting: &Setting, results: &Results) -> Result<()> {
    fs::create_dir_all(folder)?;
    fs::write(folder.join("results.md"), page::page(setting, results))?;
    plot::draw(folder, results)
}
