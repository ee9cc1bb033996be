"""`sagactl check --live`: the books of a shop at work, for which nothing has to come to rest."""
