//! Takes away every cause of trouble.

use super::cluster::{Cluster, order_patiently};
use super::node::{CONFIG, PASSWORD};
use haypile_testkit::Weather;

impl Cluster {
    /// Cables are whole, everybody runs, is configured as at the start, and knows whom to follow. What follows from what has
    /// happened is the servers' to repair.
    pub fn heal(&mut self) -> Result<(), String> {
        for link in self.links() {
            link.set(Weather::CLEAR);
        }
        for number in 0..self.nodes.len() {
            self.nodes[number].go_on();
            let wanted = self.wanted(number);
            let node = &mut self.nodes[number];
            if !node.runs {
                node.follows = wanted;
                node.start();
            }
        }
        for node in &mut self.nodes {
            for (key, value) in CONFIG {
                order_patiently(node, &format!("CONFIG SET {key} {value}"))?;
            }
            node.password = PASSWORD.into();
        }
        self.publish();
        self.point()
    }
}
