"""Many cases, in this process or on a cluster; a bad case never stops the rest, and a rerun continues."""
