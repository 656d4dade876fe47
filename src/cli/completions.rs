//! `tollgate completions SHELL`.

use clap::CommandFactory;

use super::{Arguments, End};

pub(super) fn run(shell: clap_complete::Shell) -> End {
    clap_complete::generate(shell, &mut Arguments::command(), "tollgate", &mut std::io::stdout());
    End::Done
}
