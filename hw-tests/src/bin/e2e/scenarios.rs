//! What is tried, and what holds after each scenario: the node is as it was before.

mod devices;

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
pub(crate) const ALL: &[&[Scenario]] = &[devices::SCENARIOS];

/// Runs a scenario, removes its pods, and checks that nothing of them is left on the node.
pub(crate) fn run(scenario: &Scenario, cluster: &mut Cluster) -> Result<()> {
    let before = left(cluster)?;
    (scenario.run)(cluster)?;
    cluster.remove_pods().context("the pods can't be removed")?;
    wait::until("the node is as it was before the scenario", || {
        let after = left(cluster)?;
        ensure!(after == before, "before:\n{before}\nnow:\n{after}");
        Ok(())
    })
}

/// All that pods may leave behind: every link with its MAC, MTU and VF settings, records, leases, addresses, what was
/// told of attachments, namespaces.
///
/// The queue discipline is the kernel's choice, made anew when a link is set up. What is told of a device stays until the
/// kubelet is asked next.
fn left(cluster: &Cluster) -> Result<String> {
    cluster.agent().shell(
        "ip -o link | sed -E 's/^[0-9]+: //; s/ (state|qdisc|qlen|mode|group) [^ ]+//g' | sort
         find /run/linkspan/attachments /run/linkspan/leases /var/run/k8s.cni.cncf.io/devinfo/cni -type f \
             ! -name lock 2>/dev/null | sort
         find /var/lib/cni/networks -type f -name '[0-9a-f]*[.:]*' 2>/dev/null | sort
         ls /run/netns 2>/dev/null | grep cni- || true",
    )
}
