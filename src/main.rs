//! Parses arguments, runs one command, returns its exit code.

use mimalloc::MiMalloc;
use zeroizing_alloc::ZeroAlloc;

/// What is freed is overwritten: a core dump of the service holds nothing of an epoch that it has destroyed, and one of
/// a custodian's command no salt that it has let go.
#[global_allocator]
static WIPED: ZeroAlloc<MiMalloc> = ZeroAlloc(MiMalloc);

fn main() -> std::process::ExitCode {
    voorrang::cli::main()
}
