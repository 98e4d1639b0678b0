"""Cohorts under chaos: workers and clients that are killed, several clients, batch systems, thousands of cases."""
