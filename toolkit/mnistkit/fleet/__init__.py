"""Boards over SSH: runs the Ansible playbook of this folder and collects the results in one report."""
