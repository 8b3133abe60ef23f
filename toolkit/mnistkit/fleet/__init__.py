"""Boards over SSH: Ansible does the work by the playbook beside this file, and its results become one report."""
