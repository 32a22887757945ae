//! Who is let into a group.

use haypile_testkit::{Server, free_port, wait_until};

use super::support::{Group, PASSWORD, ask, member};

#[test]
fn a_member_with_other_members_is_refused() {
    let mut group = Group::start(&[]);
    let stranger = (group.leader() + 1) % 3;
    group.servers[stranger].kill();
    let mut ports = group.ports.clone();
    ports.rotate_left(1);
    ports[2] = free_port();
    let mut other = member(stranger, &ports, &[]);
    other.set_address(([127, 0, 0, 1], group.ports[stranger]).into());
    other.start_again();
    wait_until("the refusal", || other.log().contains("group-members differ"));
    assert_eq!(ask(other.port(), "group_leader").unwrap(), "0");
    assert_eq!(group.client().say("SET k v"), "OK", "two of three go on");
}

#[test]
fn a_copied_directory_is_refused() {
    let mut group = Group::start(&[]);
    let leader = group.leader();
    group.client().say("SET k v");
    let (one, two) = ((leader + 1) % 3, (leader + 2) % 3);
    group.servers[two].kill();
    // As if somebody had made a member of a copy of another's directory.
    let id = std::fs::read(group.servers[one].dir().join("node-id")).expect("the id of a node");
    std::fs::write(group.servers[two].dir().join("node-id"), id).unwrap();
    group.servers[two].start_again();
    wait_until("the refusal", || group.servers[two].log().contains("the same node id"));
}

#[test]
fn a_group_needs_a_password_where_clients_do() {
    let right = ["--requirepass", PASSWORD, "--masterauth", PASSWORD];
    let mut group = Group::start(&right);
    assert_eq!(group.client().say("SET k v"), "OK");
    let stranger = (group.leader() + 1) % 3;
    group.servers[stranger].kill();
    let mut other = member(
        stranger,
        &group.ports,
        &["--requirepass", PASSWORD, "--masterauth", "wrong"],
    );
    other.start_again();
    wait_until("the refusal", || other.log().contains("WRONGPASS"));
    assert_eq!(ask(other.port(), "group_leader").unwrap(), "0");
}

#[test]
fn a_configuration_that_is_no_group_is_refused() {
    let start = |args: &[&str]| Server::start_in_vain(args).1;
    let members = "1=127.0.0.1:7001 2=127.0.0.1:7002";
    let errors = start(&["--group-members", members, "--group-member", "3"]);
    assert!(errors.contains("group-member is 3"), "{errors}");
    let errors = start(&["--group-members", members, "--group-member", "1", "--sync-port", "0"]);
    assert!(errors.contains("sync-port is 0"), "{errors}");
    for wrong in [
        "1=a",
        "x=127.0.0.1:1",
        "0=127.0.0.1:1",
        "1=127.0.0.1:1 1=127.0.0.1:2",
        "1=127.0.0.1:0",
    ] {
        let errors = start(&["--group-members", wrong, "--group-member", "1"]);
        assert!(errors.contains("group-members"), "{wrong}: {errors}");
    }
}
