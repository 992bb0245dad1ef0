"""Tests of reads from streaming replicas: on real servers, with lag, crashes, conflicts and promotions."""
