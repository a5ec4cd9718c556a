//! The kubelet's plugin watcher: who puts a socket into `plugins_registry` is asked what it is.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use linkspan_linux::inotify::{DirectoryEvent, DirectoryWatch};
use linkspan_proto::deviceplugin::VERSION;
use linkspan_proto::pluginregistration::registration_client::RegistrationClient;
use linkspan_proto::pluginregistration::{
    DEVICE_PLUGIN, InfoRequest, PluginInfo, RegistrationStatus,
};
use tonic::Status;
use tonic::transport::Channel;

use super::calls::{self, Plugins};

/// Watches the directory until the task is ended.
pub(super) async fn watch(watch: DirectoryWatch, directory: PathBuf, plugins: Arc<Plugins>) {
    for entry in std::fs::read_dir(&directory).unwrap() {
        tokio::spawn(meet(entry.unwrap().path(), Arc::clone(&plugins)));
    }
    while let Ok(events) = watch.events().await {
        for event in events {
            if let DirectoryEvent::Appeared(name) = event {
                tokio::spawn(meet(directory.join(name), Arc::clone(&plugins)));
            }
        }
    }
}

async fn meet(socket: PathBuf, plugins: Arc<Plugins>) {
    // The name appears a moment before its owner listens. The kubelet tries again, too.
    let dialled = async {
        loop {
            if let Ok(channel) = calls::dial(&socket).await {
                return channel;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    let Ok(channel) = tokio::time::timeout(super::CALL, dialled).await else { return };
    let mut plugin = RegistrationClient::new(channel);
    let outcome = accept(&mut plugin, &plugins).await;
    let status = RegistrationStatus {
        plugin_registered: outcome.is_ok(),
        error: outcome.err().map(|status| status.message().to_owned()).unwrap_or_default(),
    };
    let _ = plugin.notify_registration_status(status).await;
}

async fn accept(
    plugin: &mut RegistrationClient<Channel>,
    plugins: &Arc<Plugins>,
) -> Result<(), Status> {
    let info: PluginInfo = plugin.get_info(InfoRequest {}).await?.into_inner();
    if info.r#type != DEVICE_PLUGIN || !info.supported_versions.iter().any(|v| v == VERSION) {
        return Err(Status::unimplemented(format!("{info:?}")));
    }
    plugins.connect(&info.name, Path::new(&info.endpoint), None).await
}
