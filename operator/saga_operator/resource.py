"""The names that the operator and the CRD agree on."""

GROUP = "sagashop.io"
VERSION = "v1alpha1"
PLURAL = "sagamonitors"

FINALIZER = "sagashop.io/saga-operator"
ANNOTATIONS = "saga-operator.sagashop.io"
SWEEP_REQUEST = "sagashop.io/sweep-requested-at"
