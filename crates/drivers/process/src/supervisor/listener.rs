//! Who listens on a port. An answer on the right port proves nothing if a stranger gives it.

use std::collections::HashSet;

use super::identity::{Identity, Stat};

/// A process that listens on the port and is not part of the command, if that can be told; `None` is not a proof that there is none.
pub(crate) fn stranger(port: u16, command: &Identity) -> Option<Stat> {
    let sockets: HashSet<String> = ["tcp", "tcp6"]
        .iter()
        .filter_map(|table| std::fs::read_to_string(format!("/proc/net/{table}")).ok())
        .flat_map(|table| listening(&table, port))
        .map(|inode| format!("socket:[{inode}]"))
        .collect();
    if sockets.is_empty()
        || command
            .group()
            .iter()
            .any(|member| holds(member.pid, &sockets))
    {
        return None;
    }
    let holders: Vec<Stat> = Stat::all()
        .into_iter()
        .filter(|stat| holds(stat.pid, &sockets))
        .collect();
    // A command may put its servers into groups of their own (a job-control shell, a process manager): their environment still
    // says whose they are.
    let mark = vec![environment(command.pid, super::child::MARK_DIR)?];
    if holders
        .iter()
        .any(|stat| super::adopt::bears(stat.pid, &mark))
    {
        return None;
    }
    holders.into_iter().next()
}

/// The inodes of the sockets that listen on the port: proc_pid_net(5), local address in the second column, state (0A: listen) in the fourth.
fn listening(table: &str, port: u16) -> Vec<String> {
    let suffix = format!(":{port:04X}");
    let rows = table
        .lines()
        .skip(1)
        .map(|line| line.split_whitespace().collect::<Vec<_>>());
    rows.filter(|row| {
        row.get(1).is_some_and(|local| local.ends_with(&suffix)) && row.get(3) == Some(&"0A")
    })
    .filter_map(|row| row.get(9).map(|inode| (*inode).to_owned()))
    .collect()
}

fn holds(pid: u32, sockets: &HashSet<String>) -> bool {
    let files = std::fs::read_dir(format!("/proc/{pid}/fd"))
        .into_iter()
        .flatten()
        .flatten();
    files
        .filter_map(|file| std::fs::read_link(file.path()).ok())
        .any(|to| to.to_str().is_some_and(|to| sockets.contains(to)))
}

/// One entry (`NAME=value`) of the environment that a process was started with.
fn environment(pid: u32, name: &str) -> Option<Vec<u8>> {
    let all = std::fs::read(format!("/proc/{pid}/environ")).ok()?;
    let prefix = format!("{name}=").into_bytes();
    all.split(|byte| *byte == 0)
        .find(|entry| entry.starts_with(&prefix))
        .map(<[u8]>::to_vec)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_sockets_that_listen_count() {
        let table = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n\
             0: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000  1000        0 111 1 0 100 0 0 10 0\n\
             1: 0100007F:1F90 0100007F:C001 01 00000000:00000000 00:00000000 00000000  1000        0 222 1 0 20 4 30 10 -1\n\
             2: 00000000:1F91 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 333 1 0 100 0 0 10 0\n";
        assert_eq!(listening(table, 8080), ["111"]);
        assert_eq!(listening(table, 8081), ["333"]);
        assert!(listening(table, 80).is_empty());
    }
}
