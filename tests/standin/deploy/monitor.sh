#!/bin/sh
# The application's own watch, every five minutes from cron.
log=/opt/bilingual-tutor/logs/monitor.log
if curl -fs -m 10 -o /dev/null http://localhost/health; then
    echo "$(date '+%Y-%m-%d %H:%M:%S') - 系统运行正常" >> "$log"
else
    echo "$(date '+%Y-%m-%d %H:%M:%S') - HTTP健康检查失败" >> "$log"
fi
