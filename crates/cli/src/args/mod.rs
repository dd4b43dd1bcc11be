//! The command line as types, divided as the verbs are. What each verb does is in `verbs`; here is only what can be written
//! and how help reads.

mod adopt;
mod back;
mod command;
mod demo;
mod deploy;
mod doctor;
mod follow;
mod global;
mod look;
mod people;
mod promote;
mod release;
mod servers;
mod store;
mod verb;

pub(crate) use adopt::Adopt;
pub(crate) use back::{Abort, Gitops, How, Ready, Require, Rollback, Shell};
pub(crate) use command::{Args, parse};
pub(crate) use demo::Demo;
pub(crate) use deploy::{Check, Deploy, Plan, What};
pub(crate) use doctor::{About, Doctor, Strategy};
pub(crate) use follow::{Following, Until, Watch};
pub(crate) use global::{Global, Place, StoreUrl};
pub(crate) use look::{History, Logs, Status};
pub(crate) use people::{Freeze, Give, Retry, Say};
pub(crate) use promote::Promote;
pub(crate) use release::Release;
pub(crate) use servers::{Proxy, Supervise, Worker};
pub(crate) use store::Store;
pub(crate) use verb::Verb;
