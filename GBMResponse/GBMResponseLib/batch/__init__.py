"""The page *Batch*: the cases of a table, run by a process of their own."""
