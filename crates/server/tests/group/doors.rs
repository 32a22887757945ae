//! Who is let into a group.

use haypile_testkit::{Server, free_port, wait_until};

use super::support::{Group, PASSWORD, ask, make_member, member};

#[test]
fn founders_that_differ_are_refused() {
    let ports: Vec<u16> = (0..3).map(|_| free_port()).collect();
    let mut others = ports.clone();
    others[2] = free_port();
    let (mut one, mut two) = (member(0, &ports, &[]), member(1, &others, &[]));
    one.start_again();
    two.start_again();
    wait_until("the refusals", || {
        [&one, &two]
            .iter()
            .all(|server| server.log().contains("group-members differ"))
    });
    assert_eq!(ask(two.port(), "group_leader").unwrap(), "0");
}

#[test]
fn a_member_of_another_group_is_refused() {
    let (group, another) = (Group::start(&[]), Group::start(&[]));
    for group in [&group, &another] {
        wait_until("the group's name", || {
            !group.client().say("GROUP MEMBERS").contains("\"\"")
        });
        group.wait_for_all();
    }
    let (mut group, mut another) = (group, another);
    let leader = group.leader();
    let gone = (leader + 1) % 3;
    group.servers[gone].kill();
    // Stopped, so that it knows what its group has decided when it starts again.
    another.servers[gone].stop();
    // It has the data of the other group, and comes to where a member of this one was.
    let stray = &mut another.servers[gone];
    make_member(stray, gone, &group.ports, &[]);
    stray.start_again();
    wait_until("the refusal", || stray.log().contains("this is a member of the group"));
    assert_eq!(group.client().say("SET k v"), "OK");
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
