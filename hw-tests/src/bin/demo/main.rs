//! The demo: real VFs offered to a kubelet, given to pods, and taken back, told step by step.
//!
//! It runs in the test bed (`make demo`), and ends with 0 only if each step was true.

mod attachment;
mod nics;
mod offer;
mod state;
mod story;
mod table;

use std::process::ExitCode;

use anyhow::{Result, ensure};
use linkspan_tests::bed::{BedPf, pfs};
use tempfile::TempDir;

use attachment::{Attachment, PodPlan};
use offer::Node;
use state::Snapshot;
use story::{StepFailed, Story};

fn main() -> ExitCode {
    if pfs().len() < 2 {
        eprintln!("demo: it needs two SR-IOV NICs, which the test bed has: `make demo` runs it there");
        return ExitCode::FAILURE;
    }
    introduce();
    let story = Story::begin();
    match tell(&story) {
        Ok(()) => {
            conclude(&story);
            ExitCode::SUCCESS
        }
        Err(failed) => {
            println!("\nThe demo failed at {failed}");
            ExitCode::FAILURE
        }
    }
}

fn introduce() {
    let nics = if std::env::var_os("LINKSPAN_BED").is_some() {
        "QEMU emulates the NICs, which makes everything slower than it is on hardware"
    } else {
        "the NICs are this machine's own"
    };
    println!();
    println!("Linkspan demo: pods on virtual functions (VFs) of two SR-IOV network cards");
    println!("The kernel, the drivers and Linkspan's programs are real; a stand-in plays the kubelet.");
    println!("{}{}.", nics[..1].to_uppercase(), &nics[1..]);
}

fn conclude(story: &Story) {
    println!("\nEach step was true. The story took {:.1} s.", story.seconds());
    println!("Where to go next:");
    println!("  README.md          how to install Linkspan, with a network and a pod to start from");
    println!("  make test          all tests, many of them on this same machine");
    println!("  cargo bed shell    a shell in it, to try things by hand");
}

fn tell(story: &Story) -> Result<(), StepFailed> {
    let pfs = [BedPf::nth(0), BedPf::nth(1)];
    let folder = story.step("Find the VFs of this node", || {
        nics::show(&pfs)?;
        Ok(tempfile::tempdir()?)
    })?;
    let before = Snapshot::take(&pfs);

    let node = story.step("Offer them to the kubelet", || Node::offer(&pfs, &folder))?;
    let vfs = story.step("Allocate a VF for each of two pods", || {
        Ok([node.allocate(0, "web")?, node.allocate(1, "db")?])
    })?;

    let plans = [PodPlan::new("web", vfs[0], 100), PodPlan::new("db", vfs[1], 100)];
    let [web, db] = story.step("Attach both pods on VLAN 100", || {
        attachment::describe_network();
        let [web, db] = plans.map(|plan| Attachment::add(plan, &pfs, &folder));
        Ok([web?, db?])
    })?;
    story.step("Ping from one network card to the other", || web.reaches(&db))?;

    let plan = story.step("Allocate a VF for a third pod", || {
        Ok(PodPlan::new("stranger", node.allocate(1, "stranger")?, 200))
    })?;
    let stranger = story.step("Attach it on VLAN 200: no one answers it", || {
        let stranger = Attachment::add(plan, &pfs, &folder)?;
        stranger.does_not_reach(&web)?;
        Ok(stranger)
    })?;
    let during = [&web, &db, &stranger].map(|attachment| attachment.shown.clone());
    let pods = [web, db, stranger_on_vlan_100(story, stranger, &pfs, &folder, &db_address)?];
    story.step("Detach all pods", || pods.iter().try_for_each(Attachment::delete))?;
    story.step("Compare each VF with what it was before", || {
        state::compare(&before, &during, &Snapshot::take(&pfs))
    })
}
