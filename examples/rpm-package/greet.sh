#!/bin/sh
# Greets NAME: greet [--version] NAME
case $1 in
  --version) echo '@VERSION@' ;;
  *) echo "hello, ${1:-nobody}" ;;
esac
