#!/bin/sh
# The application's own backup, as deployed in the field, mistakes included: it copies, and it copies the empty decoy.
set -eu
to=/opt/bilingual-tutor/backups/database
mkdir -p "$to"
cp /opt/bilingual-tutor/data/learning.db "$to/learning_$(date +%Y%m%d_%H%M%S).db"
echo "数据库备份完成"
