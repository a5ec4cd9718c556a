//! The cluster: the control plane on this machine, the node in its guest.

use std::fmt::Write;
use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use serde_json::json;

use crate::agent::Agent;
use crate::daemon::{Daemon, tail};
use crate::folder::Folder;
use crate::images;
use crate::kubectl::Kubectl;
use crate::machine::{Machine, free_port};
use crate::{networks, node_config, product, wait};

/// Who speaks to the API server: file, user and group. RBAC says what each may do.
const USERS: [(&str, &str, &str); 4] = [
    ("admin", "admin", "system:masters"),
    ("kubelet", "system:node:localhost", "system:nodes"),
    ("controller-manager", "system:kube-controller-manager", ""),
    ("scheduler", "system:kube-scheduler", ""),
];

pub(crate) struct Cluster {
    pub(crate) kubectl: Kubectl,
    pub(crate) machine: Machine,
    control_plane: Vec<Daemon>,
    /// Configuration, keys, logs and the node's disk; it goes with the cluster, and after the daemons that write to it.
    _folder: Folder,
}

impl Cluster {
    /// Starts a cluster from nothing, whose node is booted.
    pub(crate) fn start(node: &Path) -> Result<Self> {
        let folder = Folder::create()?;
        let networks = networks::all();
        let mut machine = Machine::new(node, folder.path())?;
        node_config::write(folder.path(), machine.kubelet_port, &networks)?;
        images::write(&folder.path().join("images"), &product::programs()?)?;

        let api = free_port()?;
        write_credentials(folder.path(), api)?;
        let bin = node.join("bin");
        let control_plane = start_control_plane(folder.path(), &bin, api)?;
        let kubectl = Kubectl::new(bin.join("kubectl"), folder.path().join("admin.kubeconfig"));
        machine.boot()?;
        wait::until("the API server is ready", || kubectl.run(&["get", "--raw=/readyz"]))?;
        kubectl
            .apply(&networks.iter().map(networks::Network::runtime_class).collect::<Vec<_>>())?;
        Ok(Self { kubectl, machine, control_plane, _folder: folder })
    }

    pub(crate) fn agent(&self) -> Agent {
        self.machine.agent()
    }

    /// Waits until the kubelet has told the API server that it is well.
    pub(crate) fn await_node(&self) -> Result<()> {
        wait::until("the node has registered", || self.kubectl.run(&["get", "node", "localhost"]))?;
        self.kubectl.wait("condition=Ready", &["node/localhost"])
    }

    /// Does something to the node, and waits until its kubelet has told anew how it is: what the API server knows of it
    /// before that may be old.
    pub(crate) fn disturb(&mut self, what: impl FnOnce(&mut Self) -> Result<()>) -> Result<()> {
        what(self)?;
        let began = self.agent().shell("date -u +%FT%TZ")?;
        let path = r#"jsonpath={.status.conditions[?(@.type=="Ready")].lastHeartbeatTime}"#;
        wait::until("the kubelet tells of the node", || {
            let told = self.kubectl.run(&["get", "node", "localhost", "-o", path])?;
            // Times of this form are in order as texts are.
            ensure!(told.trim() > began.trim(), "it did so last at {told}, before {began}");
            Ok(())
        })?;
        self.await_node()?;
        product::await_running(self)
    }

    /// Boots the node anew, after a scenario that may have left it in any state.
    pub(crate) fn start_anew(&mut self) -> Result<()> {
        self.kubectl.run(&[
            "delete",
            "statefulsets,pods",
            "--all",
            "--force",
            "--grace-period=0",
        ])?;
        self.disturb(Self::reboot)
    }

    /// Pulls the node's plug, and boots it.
    pub(crate) fn reboot(&mut self) -> Result<()> {
        self.machine.power_off()?;
        self.machine.boot()
    }

    /// Shows what tells why a scenario failed.
    pub(crate) fn tell_why(&mut self) {
        let show = |title: &str, text: Result<String>| {
            let text = text.unwrap_or_else(|error| format!("not to be had: {error:#}"));
            println!("----- {title}\n{}", text.trim_end());
        };
        let kubectl = |args: &[&str]| self.kubectl.run(args);
        show("pods", kubectl(&["get", "pods", "-A", "-o", "wide"]));
        show("events", kubectl(&["get", "events", "-A", "--sort-by=.lastTimestamp"]));
        show(
            "what the node offers",
            kubectl(&["get", "node", "localhost", "-o", "jsonpath={.status.allocatable}"]),
        );
        for (title, text) in product::logs(self) {
            show(&title, text);
        }
        let guest = |command: &str| self.agent().shell(command);
        show("links of the node", guest("ip -d -br link; find /run/linkspan | head -n 60"));
        show(
            "kubelet, errors",
            guest("grep -a '^E' /run/node/kubelet.log | grep -v Housekeeping | tail -n 30"),
        );
        show(
            "containerd, errors",
            guest("grep -a 'level=error' /run/node/containerd.log | tail -n 20"),
        );
        for daemon in &mut self.control_plane {
            if let Err(error) = daemon.check() {
                println!("----- {error:#}");
            }
        }
        println!("----- the machine\n{}", tail(&self.machine.log(), 25));
    }
}

/// Tokens, the kubeconfig of each user, and the key that signs those of service accounts.
fn write_credentials(folder: &Path, api: u16) -> Result<()> {
    let mut tokens = String::new();
    for (name, user, group) in USERS {
        let token = random()?;
        writeln!(tokens, "{token},{user},{name},\"{group}\"")?;
        // Only the guest needs to come from outside, and there the same kubeconfig would not do.
        let host = if name == "kubelet" { "10.0.2.2" } else { "127.0.0.1" };
        let config = json!({
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": "e2e",
            "contexts": [{ "name": "e2e", "context": { "cluster": "e2e", "user": name } }],
            "users": [{ "name": name, "user": { "token": token } }],
            "clusters": [{ "name": "e2e", "cluster": {
                "server": format!("https://{host}:{api}"),
                // Its certificate is one that it made for itself when it was started.
                "insecure-skip-tls-verify": true,
            } }],
        });
        fs::write(folder.join(format!("{name}.kubeconfig")), config.to_string())?;
    }
    fs::write(folder.join("tokens.csv"), tokens)?;
    let key = folder.join("accounts.key");
    let genpkey = ["genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048", "-out"];
    let made =
        Command::new("openssl").args(genpkey).arg(&key).output().context("can't run openssl")?;
    ensure!(
        made.status.success(),
        "openssl makes no key: {}",
        String::from_utf8_lossy(&made.stderr)
    );
    let public = Command::new("openssl").args(["pkey", "-pubout", "-in"]).arg(&key).output()?;
    Ok(fs::write(folder.join("accounts.pub"), public.stdout)?)
}

fn start_control_plane(folder: &Path, bin: &Path, api: u16) -> Result<Vec<Daemon>> {
    let path = |name: &str| folder.join(name).to_string_lossy().into_owned();
    let (store, peers) = (free_port()?, free_port()?);
    let start = |name: &str, args: &[String]| {
        Daemon::start(&bin.join(name), args, &folder.join(format!("{name}.log")))
    };
    let store = format!("http://127.0.0.1:{store}");
    let etcd = [
        format!("--data-dir={}", path("etcd")),
        format!("--listen-client-urls={store}"),
        format!("--advertise-client-urls={store}"),
        format!("--listen-peer-urls=http://127.0.0.1:{peers}"),
    ];
    let api_server = [
        format!("--etcd-servers={store}"),
        format!("--secure-port={api}"),
        "--bind-address=127.0.0.1".to_owned(),
        "--advertise-address=10.0.2.2".to_owned(),
        "--endpoint-reconciler-type=none".to_owned(),
        format!("--cert-dir={}", path("certificates")),
        format!("--token-auth-file={}", path("tokens.csv")),
        "--authorization-mode=Node,RBAC".to_owned(),
        "--enable-admission-plugins=NodeRestriction".to_owned(),
        "--allow-privileged=true".to_owned(),
        "--service-account-issuer=https://kubernetes.default.svc".to_owned(),
        format!("--service-account-key-file={}", path("accounts.pub")),
        format!("--service-account-signing-key-file={}", path("accounts.key")),
        "--service-cluster-ip-range=10.96.0.0/24".to_owned(),
        // The kubelet's port is this machine's own, and leads to the guest.
        "--kubelet-preferred-address-types=Hostname".to_owned(),
    ];
    let controller_manager = [
        format!("--kubeconfig={}", path("controller-manager.kubeconfig")),
        format!("--service-account-private-key-file={}", path("accounts.key")),
        format!("--root-ca-file={}", path("certificates/apiserver.crt")),
        "--use-service-account-credentials=true".to_owned(),
        "--leader-elect=false".to_owned(),
        "--secure-port=0".to_owned(),
        // A node that boots, on a busy machine, is not to lose its pods.
        "--node-monitor-grace-period=10m".to_owned(),
    ];
    let scheduler = [
        format!("--kubeconfig={}", path("scheduler.kubeconfig")),
        "--leader-elect=false".to_owned(),
        "--secure-port=0".to_owned(),
    ];
    let mut daemons = vec![start("etcd", &etcd)?, start("kube-apiserver", &api_server)?];
    // The controller-manager reads it when it is started.
    let certificate: PathBuf = folder.join("certificates/apiserver.crt");
    wait::until("the API server has its certificate", || {
        daemons.iter_mut().try_for_each(Daemon::check)?;
        Ok(fs::metadata(&certificate)?)
    })?;
    daemons.push(start("kube-controller-manager", &controller_manager)?);
    daemons.push(start("kube-scheduler", &scheduler)?);
    Ok(daemons)
}

fn random() -> Result<String> {
    let mut bytes = [0; 16];
    fs::File::open("/dev/urandom")?.read_exact(&mut bytes)?;
    Ok(format!("{:032x}", u128::from_ne_bytes(bytes)))
}
