//! The fleet's processes: started, killed with SIGKILL and started again, ended in order.

use super::door::Door;
use super::driver::Load;
use super::node::Place;
use crate::peers::Program;

/// How many control planes there are.
pub(super) const CONTROL_PLANES: usize = 2;

/// Sidecars first, then control planes, each at its place.
pub(super) struct Fleet {
    places: Vec<Place>,
    nodes: Vec<Program>,
    sidecars: usize,
    door: Door,
    /// Sidecars, control planes.
    pub(super) kills: [usize; 2],
}

impl Fleet {
    /// So many sidecars between this upstream and two control planes on this database, all on this topic.
    pub(super) async fn start(sidecars: usize, (upstream, database): (&str, &str), kafka: (&str, &str)) -> Self {
        let door = Door::open(CONTROL_PLANES).await;
        let places: Vec<_> = (0..sidecars)
            .map(|_| Place::sidecar(upstream, door.address, kafka))
            .chain((0..CONTROL_PLANES).map(|_| Place::control(database, kafka)))
            .collect();
        let mut nodes = Vec::new();
        for place in &places {
            nodes.push(place.start().await);
        }
        for (at, node) in nodes.iter().skip(sidecars).enumerate() {
            door.lead(at, Some(node.address));
        }
        Self { places, nodes, sidecars, door, kills: [0; 2] }
    }

    /// Shows the clients where the sidecars are.
    pub(super) fn aim(&self, load: &Load) {
        for (at, node) in self.nodes.iter().take(self.sidecars).enumerate() {
            load.aim(at, Some(node.address));
        }
    }

    /// Kills one and starts it again: at first one of each kind, whatever comes after.
    pub(super) async fn kill(&mut self, load: &Load, rng: &mut fastrand::Rng) {
        let at = match self.kills {
            [0, _] => rng.usize(..self.sidecars),
            [_, 0] => self.sidecars + rng.usize(..CONTROL_PLANES),
            _ => rng.usize(..self.places.len()),
        };
        let show = |to| match at.checked_sub(self.sidecars) {
            None => load.aim(at, to),
            Some(control) => self.door.lead(control, to),
        };
        self.kills[usize::from(at >= self.sidecars)] += 1;
        show(None);
        self.nodes.remove(at).kill().await;
        let node = self.places[at].start().await;
        show(Some(node.address));
        self.nodes.insert(at, node);
    }

    /// Ends the sidecars in order; then the control planes are left.
    pub(super) async fn end_sidecars(&mut self) {
        for node in self.nodes.drain(..self.sidecars) {
            node.end().await;
        }
    }

    /// Ends what is left.
    pub(super) async fn end(self) {
        for node in self.nodes {
            node.end().await;
        }
    }
}
