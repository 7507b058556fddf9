#!/bin/bash
# Says hello.
if [[ $1 == --version ]]; then
  echo 'greet @VERSION@'
else
  echo "hello, ${1:-world}"
fi
