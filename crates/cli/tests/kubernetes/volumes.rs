//! A claim of a chart gets its volume from the platform, which writes into its spec: that is nobody's change.

use crate::helm;
use crate::shop::until;
use belay_testbed::Helm;
use serde_json::json;

#[test]
fn a_claim_keeps_the_volume_that_it_got() {
    let shop = helm::shop(Helm::V4);
    let claim = "{ apiVersion: v1, kind: PersistentVolumeClaim, metadata: { name: data }, spec: { accessModes: [ReadWriteOnce], \
                 storageClassName: manual, resources: { requests: { storage: 1Gi } } } }";
    shop.project.write("chart/templates/claim.yaml", claim);
    shop.project.json(0, &["deploy"]);
    let volume = format!("data-{}", shop.namespace);
    let reference = json!({ "namespace": shop.namespace, "name": "data" });
    shop.make(
        &json!({ "apiVersion": "v1", "kind": "PersistentVolume", "metadata": { "name": volume },
        "spec": { "accessModes": ["ReadWriteOnce"], "capacity": { "storage": "1Gi" }, "storageClassName": "manual",
            "hostPath": { "path": "/nowhere" }, "claimRef": reference } }),
    );
    let claim = || shop.get(&["pvc", "data"]);
    until("the claim is bound", || {
        claim()["status"]["phase"] == "Bound"
    });
    let bound = claim();
    assert_eq!(bound["spec"]["volumeName"], volume.as_str());
    shop.project.json(0, &["deploy", "--image", "shop/api:2"]);
    shop.project.json(0, &["rollback", "--yes"]);
    assert_eq!(shop.image(), "shop/api:1");
    let still = claim();
    assert_eq!(still["metadata"]["uid"], bound["metadata"]["uid"]);
    assert_eq!(still["spec"], bound["spec"]);
}
