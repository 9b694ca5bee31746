#!/bin/bash
i=0; while true; do echo $i; i=$(expr $i + 1); sleep 1; done
