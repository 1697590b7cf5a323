//! One node of the demo: a small HTTP server that takes its time, and says who it is and what it got.

use std::fmt::Write;
use std::net::Ipv4Addr;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use axum::Router;
use axum::extract::Request;

/// What a node takes.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Its name
    #[arg(long)]
    name: String,
    /// The port on 127.0.0.1 where it listens
    #[arg(long)]
    port: u16,
    /// Milliseconds until it listens, as of a program that has something to load
    #[arg(long, default_value_t = 0)]
    boot: u64,
}

/// How long it takes for a request, but for one for `/`: with no work to do, nothing would ever be in flight.
const WORK: std::time::Duration = std::time::Duration::from_millis(40);

/// Serves until it is killed or its parent ends.
pub fn run(args: &Args) -> ExitCode {
    // Ctrl-C reaches every process of the terminal: the balancer is the one to end, and ends this one after its drain.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let boot = std::time::Duration::from_millis(args.boot);
    let serving = async {
        tokio::time::sleep(boot).await;
        serve(args.name.as_str().into(), args.port).await
    };
    match runtime.and_then(|runtime| runtime.block_on(serving)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fail(&error),
    }
}

fn fail(error: &std::io::Error) -> ExitCode {
    eprintln!("error: a node of the demo does not start: {error}");
    ExitCode::FAILURE
}

async fn serve(name: Arc<str>, port: u16) -> std::io::Result<()> {
    let listener = tokio::net::TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await?;
    let served = Arc::new(AtomicU64::new(0));
    let app = Router::new().fallback(move |request: Request| {
        let number = served.fetch_add(1, Relaxed) + 1;
        let page = page(&name, number, &request);
        let work = if request.uri().path() == "/" { std::time::Duration::ZERO } else { WORK };
        async move {
            tokio::time::sleep(work).await;
            ([("x-node", name_header(&page.0))], page.1)
        }
    });
    let ignored = async {
        loop {
            if tokio::signal::ctrl_c().await.is_err() {
                std::future::pending::<()>().await;
            }
        }
    };
    tokio::select! {
        ended = async { axum::serve(listener, app).await } => ended,
        () = ignored => Ok(()),
    }
}

fn name_header(name: &str) -> String {
    name.to_owned()
}

fn page(name: &Arc<str>, number: u64, request: &Request) -> (Arc<str>, String) {
    let mut text = format!("Hello from {name}: this is its request number {number}.\n\n");
    // Writing to a String does not fail.
    let _ = writeln!(text, "{} {}", request.method(), request.uri());
    for (name, value) in request.headers() {
        let _ = writeln!(text, "{name}: {}", String::from_utf8_lossy(value.as_bytes()));
    }
    (Arc::clone(name), text)
}
