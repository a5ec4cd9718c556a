//! What is tried, and what holds after each scenario: the node is as it was before.

mod children;
mod devices;
mod installed;
mod limits;
mod lost;
mod restarts;

use anyhow::{Context, Result, ensure};

use crate::cluster::Cluster;
use crate::wait;

pub(crate) struct Scenario {
    pub(crate) name: &'static str,
    run: fn(&mut Cluster) -> Result<()>,
}

/// Declares scenarios by their functions' names.
macro_rules! scenarios {
    ($($name:ident),+ $(,)?) => {
        &[$($crate::scenarios::Scenario { name: stringify!($name), run: $name }),+]
    };
}
use scenarios;

/// All of them, in their order.
pub(crate) const ALL: &[&[Scenario]] = &[
    devices::SCENARIOS,
    installed::SCENARIOS,
    limits::SCENARIOS,
    children::SCENARIOS,
    lost::SCENARIOS,
    restarts::SCENARIOS,
];

/// Runs a scenario, removes its pods, and checks that nothing of them is left on the node.
pub(crate) fn run(scenario: &Scenario, cluster: &mut Cluster) -> Result<()> {
    let before = left(cluster)?;
    (scenario.run)(cluster)?;
    cluster.remove_pods().context("the pods can't be removed")?;
    wait::until("the node is as it was before the scenario", || before.ensure_same(&left(cluster)?))
}

/// All that pods may leave behind.
struct Left {
    boot: String,
    shown: String,
}

impl Left {
    fn ensure_same(&self, now: &Self) -> Result<()> {
        let (was, is) = self.beside(now);
        ensure!(was == is, "before:\n{was}\nnow:\n{is}");
        Ok(())
    }

    /// Both as texts to compare. A VF has another MAC whenever its PF's driver makes it anew, as it does when the node boots.
    fn beside(&self, other: &Self) -> (String, String) {
        if self.boot == other.boot {
            (self.shown.clone(), other.shown.clone())
        } else {
            (without_macs(&self.shown), without_macs(&other.shown))
        }
    }
}

fn without_macs(text: &str) -> String {
    let is_mac = |word: &str| {
        let bytes: Vec<&str> = word.split(':').collect();
        bytes.len() == 6 && bytes.iter().all(|byte| u8::from_str_radix(byte, 16).is_ok())
    };
    text.split_inclusive([' ', ',', '\\', '\n'])
        .filter(|word| !is_mac(word.trim_end_matches([' ', ',', '\\', '\n'])))
        .collect()
}

/// Every link with its MAC, MTU and VF settings, records, leases, addresses, what was told of attachments, namespaces.
///
/// The queue discipline is the kernel's choice, made anew when a link is set up. What is told of a device stays until the
/// kubelet is asked next.
fn left(cluster: &Cluster) -> Result<Left> {
    let shown = cluster.agent().shell(
        "ip -o link | sed -E 's/^[0-9]+: //; s/ (state|qdisc|qlen|mode|group) [^ ]+//g' | sort
         find /run/linkspan/attachments /run/linkspan/leases /var/run/k8s.cni.cncf.io/devinfo/cni -type f \
             ! -name lock 2>/dev/null | sort
         find /var/lib/cni/networks -type f -name '[0-9a-f]*[.:]*' 2>/dev/null | sort
         ls /run/netns 2>/dev/null | grep cni- || true",
    )?;
    Ok(Left { boot: cluster.agent().shell("cat /proc/sys/kernel/random/boot_id")?, shown })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn macs_are_of_one_boot_and_all_else_is_compared() {
        let before = Left {
            boot: "1".to_owned(),
            shown: "vf 0 link/ether 02:00:00:00:00:01 brd, vlan 5".to_owned(),
        };
        let after = Left {
            boot: "2".to_owned(),
            shown: "vf 0 link/ether 02:00:00:00:00:02 brd, vlan 5".to_owned(),
        };
        let (was, is) = before.beside(&after);
        assert_eq!(was, is);
        assert!(was.contains("vlan 5"), "{was}");
        let (was, is) = before.beside(&Left { boot: "1".to_owned(), ..after });
        assert_ne!(was, is);
    }
}
