//! Questions of Linkspan's other programs: each is one message on a stream of its own, answered by another one.

use std::convert::Infallible;
use std::time::Duration;

use linkspan_proto::framing::{self, FrameError};
use prost::Message;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{UnixListener, UnixStream};
use tokio::task::JoinSet;

/// Who knows the answers.
pub trait Answers: Clone + Send + Sync + 'static {
    /// What is asked.
    type Question: Message + Default;
    /// What the questions are for, as the log has it: "devices".
    const ABOUT: &str;
    /// How long one conversation may last.
    const PATIENCE: Duration;
    /// How many conversations there may be at once; more have to wait.
    const CROWD: usize = 256;

    /// The framed reply; none where this version does not know the question. It is dropped when the one that
    /// asked hangs up.
    fn reply(
        &self,
        question: Self::Question,
    ) -> impl Future<Output = Option<Result<Vec<u8>, FrameError>>> + Send;
}

/// A question that got no answer.
#[derive(Debug, thiserror::Error)]
enum AskedError {
    #[error(
        "a process of user {0} asked, expected one of this program's own user: nothing was told"
    )]
    Stranger(u32),
    #[error("it is no question that this version knows: update both programs to the same version")]
    Unknown,
    #[error("it did not end in {0:?}")]
    Slow(Duration),
    #[error("whoever asked has hung up")]
    HungUp,
    #[error(transparent)]
    Frame(#[from] FrameError),
}

/// Without free descriptors, accepting fails at once.
const AFTER_FAILURE: Duration = Duration::from_millis(100);

/// Answers for as long as it is polled.
pub async fn answer<A: Answers>(listener: UnixListener, answers: A) -> Infallible {
    let mut conversations = JoinSet::new();
    loop {
        tokio::select! {
            connection = listener.accept(), if conversations.len() < A::CROWD => match connection {
                Ok((stream, _)) => {
                    let answers = answers.clone();
                    conversations.spawn(async move { converse(stream, &answers).await });
                }
                Err(error) => {
                    tracing::warn!("cannot answer for {}: {error}", A::ABOUT);
                    tokio::time::sleep(AFTER_FAILURE).await;
                }
            },
            Some(_) = conversations.join_next() => {}
        }
    }
}

async fn converse<A: Answers>(mut stream: UnixStream, answers: &A) {
    let conversation = async {
        let own = rustix::process::geteuid().as_raw();
        let asker = stream.peer_cred().map_err(FrameError::Io)?.uid();
        if asker != own {
            return Err(AskedError::Stranger(asker));
        }
        // Who only looks whether anybody listens has no question.
        let Some(question) = read(&mut stream).await? else { return Ok(()) };
        let reply = tokio::select! {
            reply = answers.reply(question) => reply.ok_or(AskedError::Unknown)??,
            // Nothing comes after the question but the end.
            _ = stream.read_u8() => return Err(AskedError::HungUp),
        };
        Ok(stream.write_all(&reply).await.map_err(FrameError::Io)?)
    };
    let outcome = tokio::time::timeout(A::PATIENCE, conversation).await;
    if let Err(error) = outcome.unwrap_or(Err(AskedError::Slow(A::PATIENCE))) {
        let error = anyhow::Error::new(error);
        tracing::warn!("a question for {} was not answered: {error:#}", A::ABOUT);
    }
}

async fn read<Q: Message + Default>(stream: &mut UnixStream) -> Result<Option<Q>, FrameError> {
    let mut bytes = Vec::new();
    loop {
        if stream.read_buf(&mut bytes).await? == 0 {
            return if bytes.is_empty() { Ok(None) } else { Err(FrameError::Closed) };
        }
        if let Some(question) = framing::decode(&bytes)? {
            return Ok(Some(question));
        }
    }
}
