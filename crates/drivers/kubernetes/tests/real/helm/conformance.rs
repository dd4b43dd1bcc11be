//! The conformance suite, with both versions of helm.

use super::shop::{Shop, TOKEN, shop};
use crate::place::said;
use async_trait::async_trait;
use belay_driver::Driver;
use belay_driver::conformance::Platform;
use belay_model::release::Record;
use belay_testbed::Helm;
use serde_json::json;
use std::sync::Arc;

/// With its records, which are made before anything is there.
struct Ground {
    shop: Shop,
    good: [Record; 2],
    broken: Record,
}

async fn ground(version: Helm) -> Ground {
    let shop = shop(version);
    let of = async |number: u32, image: &str| {
        let values = json!({ "image": format!("{image}:{number}"), "greeting": format!("release {number}"), "token": TOKEN });
        let mut record = shop.record(values).await;
        // The suite gives no secrets: here it is a value as any other.
        let chart = &mut record.targets[0].settings["chart"];
        chart["secrets"] = json!({});
        record
    };
    Ground {
        good: [of(1, "app").await, of(2, "app").await],
        broken: of(9, "bad").await,
        shop,
    }
}

#[async_trait]
impl Platform for Ground {
    fn driver(&self) -> Arc<dyn Driver> {
        self.shop.driver.clone()
    }

    fn record(&self, number: u32) -> Record {
        self.good[number as usize - 1].clone()
    }

    fn broken(&self) -> Option<Record> {
        Some(self.broken.clone())
    }

    fn takes_traffic(&self) -> bool {
        true
    }

    async fn meddle(&self) {
        self.shop
            .place
            .kubectl(&["set", "image", "deployment/shop", "app=app:theirs"]);
    }

    fn throttle(&self, _: u64) -> bool {
        false
    }

    fn lock_out(&self) -> bool {
        let changes: [&[&str]; 2] = [
            &["unset", "users.admin"],
            &["set-credentials", "admin", "--token=wrong"],
        ];
        for change in changes {
            let mut kubectl = self.shop.place.plane.kubectl();
            kubectl
                .arg("--kubeconfig")
                .arg(self.shop.dir.path().join("kubeconfig"));
            said(kubectl.arg("config").args(change), "");
        }
        true
    }

    fn fences(&self) -> bool {
        true
    }
}

async fn three() -> Ground {
    ground(Helm::V3).await
}

async fn four() -> Ground {
    ground(Helm::V4).await
}

mod helm_three {
    belay_driver::conformance!(super::three);
}

mod helm_four {
    belay_driver::conformance!(super::four);
}
