//! Serde mirrors of Istio's CRD specs, the whole schema of them. What is unknown is reported with its path.
