//! driftrun: runs commands on a schedule and turns what they print into drift metrics.
//!
//! The modules in the order in which values flow: [`cli`] (or [`promrun`]) and [`config`] make [`check`]s; [`schedule`] says when; [`run`] starts
//! processes and returns an [`outcome`]; [`reader`] turns it into a reading; [`board`] keeps what is known; [`metrics`] and [`web`] show it.
//! [`oneshot`], [`textfile`] and [`push`] bring one round's to where nobody scrapes driftrun.
//! [`health`] asks another driftrun whether it is well; it and [`push`] share the [`client`].
//! [`supervise`] is one check's life, [`fleet`] those of all, [`app`] puts everything together.

pub mod app;
pub mod board;
pub mod check;
pub mod cli;
pub mod client;
pub mod config;
pub mod diff;
pub mod drift;
pub mod fleet;
pub mod health;
pub mod history;
pub mod ignore;
pub mod live;
pub mod log;
pub mod manual;
pub mod metrics;
pub mod oneshot;
pub mod outcome;
pub mod printed;
pub mod progress;
pub mod promrun;
pub mod push;
pub mod reader;
pub mod redact;
pub mod run;
pub mod schedule;
pub mod shard;
pub mod show;
pub mod snapshot;
pub mod state;
pub mod supervise;
pub mod textfile;
pub mod web;
