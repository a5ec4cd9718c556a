//! The demo: real VFs offered to a kubelet, given to pods, and taken back, told step by step.
//!
//! It runs in the test bed (`make demo`), and ends with 0 only if each step was true.

mod attachment;
mod nics;
mod offer;
mod restored;
mod story;
mod table;

use std::process::ExitCode;

use linkspan_tests::bed::{BedPf, pfs};

use attachment::{Attachment, PodPlan};
use offer::Node;
use restored::Snapshot;
use story::{StepFailed, Story};

fn main() -> ExitCode {
    if pfs().len() < 2 {
        eprintln!("demo: it needs two SR-IOV NICs, which the test bed has: run `make demo`");
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
            println!("\nThe demo failed in {failed}");
            ExitCode::FAILURE
        }
    }
}

/// From the VFs of the node to the same VFs, untouched, and what happened in between.
fn tell(story: &Story) -> Result<(), StepFailed> {
    let (pfs, before) = story.step("Find the virtual functions of this node", || {
        let pfs = [BedPf::nth(0), BedPf::nth(1)];
        nics::show(&pfs)?;
        let before = Snapshot::take(&pfs);
        Ok((pfs, before))
    })?;
    let node =
        story.step("Offer them to the kubelet, one pool for each NIC", || Node::offer(&pfs))?;
    let vfs = story.step("Allocate a VF to each of three pods", || {
        Ok([node.allocate("web", 0)?, node.allocate("db", 1)?, node.allocate("lab", 1)?])
    })?;

    let plan = |name, number: usize, vlan| PodPlan { name, number, vf: vfs[number], vlan };
    let attach = |plan: PodPlan| Attachment::add(&plan, &pfs, node.folder());
    let (web, db) = story.step("Attach two pods, one on each NIC, both on VLAN 100", || {
        attachment::describe_network();
        Ok((attach(plan("web", 0, 100))?, attach(plan("db", 1, 100))?))
    })?;
    story.step("Ping from one NIC to the other", || web.reaches(&db))?;
    let lab = story.step("Attach the third pod, on VLAN 200: nobody answers it", || {
        let lab = attach(plan("lab", 2, 200))?;
        lab.does_not_reach(&web)?;
        Ok(lab)
    })?;
    let during = [&web, &db, &lab].map(|attachment| attachment.shown.clone());
    let lab = story.step("Move it to VLAN 100, with the same VF: now it is answered", || {
        lab.delete();
        let lab = attach(plan("lab", 2, 100))?;
        lab.reaches(&web)?;
        Ok(lab)
    })?;

    story.step("Detach all three pods", || {
        for attachment in [&web, &db, &lab] {
            attachment.delete();
        }
        Ok(())
    })?;
    story.step("Compare every VF with what it was before", || {
        restored::compare(&before, &during, &Snapshot::take(&pfs))
    })
}

fn introduce() {
    let nics = if std::env::var_os("LINKSPAN_BED").is_some() {
        "The NICs are emulated: on hardware, all of this is many times faster."
    } else {
        "The NICs are this machine's own."
    };
    println!();
    println!("Linkspan demo: pods on virtual functions (VFs) of two SR-IOV NICs");
    println!("Kernel, drivers and Linkspan's programs are real; a stand-in plays the kubelet.");
    println!("{nics}");
}

fn conclude(story: &Story) {
    println!("\nEvery step was true. They took {:.1} s.", story.seconds());
    println!("\nWhere to go next:");
    println!("  README.md         install Linkspan; a network and a pod to start from");
    println!("  make test         every promise proved, much of it on this same test bed");
    println!("  cargo bed shell   a shell in the test bed, to try things by hand");
}
