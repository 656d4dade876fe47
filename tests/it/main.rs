//! Every integration test, in one binary: rdkafka makes each further binary a slow link.

#[cfg(test)]
mod audit;
#[cfg(test)]
mod command;
#[cfg(test)]
mod compressed;
#[cfg(test)]
#[cfg(feature = "control")]
mod control;
#[cfg(test)]
mod corpus;
#[cfg(test)]
mod cuts;
#[cfg(test)]
mod dialects;
#[cfg(test)]
mod disconnect;
#[cfg(test)]
mod endings;
#[cfg(test)]
mod events;
#[cfg(test)]
#[cfg(all(feature = "kafka", feature = "control"))]
mod fleet;
#[cfg(test)]
mod inject;
#[cfg(test)]
mod limits;
#[cfg(test)]
mod messages;
#[cfg(test)]
mod openai;
#[cfg(test)]
mod operations;
#[cfg(test)]
mod outcomes;
#[cfg(test)]
mod peers;
#[cfg(test)]
mod profile;
#[cfg(test)]
mod readme;
#[cfg(test)]
#[cfg(feature = "kafka")]
mod real;
#[cfg(test)]
mod realtime;
#[cfg(test)]
mod receivers;
#[cfg(test)]
mod reload;
#[cfg(test)]
#[cfg(feature = "control")]
mod remote;
#[cfg(test)]
#[cfg(feature = "redis")]
mod replicas;
#[cfg(test)]
mod sdks;
#[cfg(test)]
mod secrets;
#[cfg(test)]
#[cfg(feature = "control")]
mod seed;
#[cfg(test)]
mod shape;
#[cfg(test)]
#[cfg(feature = "kafka")]
mod soak;
#[cfg(test)]
mod storage;
#[cfg(test)]
mod streaming;
#[cfg(test)]
mod support;
