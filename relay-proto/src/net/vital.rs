//! Tasks without which a process serves nobody: should one panic, the process says so and ends, and whatever
//! started it starts it again. Nothing in them reads what strangers send; sessions are tasks of their own.

use moq_net::origin;
use tokio::task::{JoinError, JoinSet};

/// What the process ends with then: `EX_SOFTWARE` of sysexits.h.
const EXIT_CODE: i32 = 70;

/// Runs `task` among `tasks`; it ends with them.
pub(super) fn spawn(
    tasks: &mut JoinSet<()>,
    what: &'static str,
    task: impl Future<Output = ()> + Send + 'static,
) {
    tasks.spawn(async move {
        let mut running = JoinSet::new();
        running.spawn(task);
        let ended = running.join_next().await;
        if let Some(panic) = ended.and_then(Result::err).filter(JoinError::is_panic) {
            tracing::error!(what, error = %panic, "this process cannot go on without it, and ends");
            std::process::exit(EXIT_CODE);
        }
    });
}

/// Where broadcasts come together, and the task that carries them on.
pub(super) fn broadcasts(tasks: &mut JoinSet<()>, config: origin::Config) -> origin::Producer {
    let (producer, driver) = origin::Producer::new(config);
    spawn(tasks, "the relay's routing", async move {
        moq_net::time::run(driver).await;
    });
    producer
}
