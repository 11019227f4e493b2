// What the doctor finds, in simplified Chinese.

import type { Findings } from './findings.ts';

export const findings: Findings = {
  'b-frames': {
    title: {
      by: 'mending',
      forms: { here: '您的视频含有 B 帧，正在由本服务器重新编码', other: '您的视频含有 B 帧' },
    },
    detail: {
      by: 'mending',
      forms: {
        here: '本服务器会重新编码您的画面，让观众能用最快的方式（WebRTC）观看，因为它不能传输 B 帧。这会带来约 {delay_ms} 毫秒的延迟、少许画质损失，并占用服务器大量处理能力。',
        busy: '观众无法用最快的方式（WebRTC）观看，因为它不能传输 B 帧：他们看到的是延迟一秒以上的版本。本服务器无法重新编码：同时重新编码的直播已达上限。',
        fails:
          '观众无法用最快的方式（WebRTC）观看，因为它不能传输 B 帧：他们看到的是延迟一秒以上的版本。本服务器无法重新编码：编码程序不断出错。',
        slow: '观众无法用最快的方式（WebRTC）观看，因为它不能传输 B 帧：他们看到的是延迟一秒以上的版本。本服务器无法重新编码：它的速度不够。',
        other:
          '观众无法用最快的方式（WebRTC）观看，因为它不能传输 B 帧：他们看到的是延迟一秒以上的版本。',
      },
    },
    remedy:
      'OBS：在“设置 › 输出”中将输出模式设为高级，B 帧设为 0；x264 编码器没有这一项，请把“微调”（Tune）设为 zerolatency。然后停止直播并重新开始。ffmpeg：-bf 0。',
  },
  'keyframes-far': {
    title: '您的关键帧每 {seconds} 秒才来一个',
    detail: '观众进入或回看时要等更久才能看到画面；途中丢失一部分画面时，花屏最长也会持续这么久。',
    remedy:
      'OBS：在“设置 › 输出”中将输出模式设为高级，关键帧间隔设为 2 秒。然后停止直播并重新开始。ffmpeg（每秒 30 帧时）：-g 60。',
  },
  'keyframes-irregular': {
    title: '您的关键帧间隔不均匀，{shortest_seconds} 到 {longest_seconds} 秒不等',
    detail:
      '每个多出来的关键帧都是一大块数据，会让网速慢的观众看到卡顿。通过 HTTP 观看的人可能会晚看到评论。',
    remedy:
      'OBS：在“设置 › 输出”中将输出模式设为高级，关键帧间隔设为 2 秒；使用 x264 编码器时，在“x264 选项”中填写 scenecut=0。然后停止直播并重新开始。ffmpeg（每秒 30 帧时）：-g 60 -sc_threshold 0。',
  },
  'frame-rate-drop': {
    title: '您的视频从每秒 {usual_fps} 帧降到了 {fps} 帧',
    detail: '观众看到画面卡顿；您的声音不受影响。',
    remedy:
      '您的电脑负担太重。请关闭其他程序。OBS：查看“查看 › 统计”；在“设置 › 视频”中选择更小的输出（缩放）分辨率或 30 FPS，在“设置 › 输出”中选择硬件编码器，使用 x264 时将 CPU 使用预设设为 ultrafast。ffmpeg：-preset ultrafast，或更小的 -s。',
  },
  'bitrate-drop': {
    title: '您的视频从 {usual_kbps} kbit/s 降到了 {kbps} kbit/s',
    detail: '观众看到的画面模糊或有马赛克，小字看不清。',
    remedy:
      '您的网络已跟不上所发送的数据。请用网线代替 Wi-Fi，并停止其他上传。OBS：在“设置 › 输出”中设一个您的网络始终承受得住的码率。ffmpeg：减小 -b:v 和 -maxrate。',
  },
  'video-missing': {
    title: '没有画面，只有声音',
    detail: '观众听得到您，但什么也看不到。',
    remedy:
      '如果您本来要发送画面：在 OBS 中看看预览里有没有画面，然后停止直播并重新开始。ffmpeg：给它一个视频输入，不要加 -vn。',
  },
  'video-stopped': {
    title: '画面停住了',
    detail: '观众听得到您，但画面不动，或播放器一直在等待。',
    remedy:
      'OBS：看看预览是否还在动，然后停止直播并重新开始；如果再次出现，请在“设置 › 输出”中换一个视频编码器。ffmpeg：看看它对视频输入报告了什么。',
  },
  'audio-missing': {
    title: '没有声音，只有画面',
    detail: '观众看得到您，但什么也听不到。',
    remedy:
      'OBS：在“设置 › 音频”的“麦克风/辅助音频”中选择您的麦克风。ffmpeg：给它一个音频输入和 -c:a aac，不要加 -an。',
  },
  'audio-stopped': {
    title: '声音中断了',
    detail: '观众看得到您，但再也听不到声音，或播放器一直在等待。',
    remedy:
      'OBS：看看麦克风是否还插着、它在混音器中的电平条是否在动，然后停止直播并重新开始。ffmpeg：看看它对音频输入报告了什么。',
  },
  'nothing-arrives': {
    title: '没有收到编码器的任何数据',
    detail: '画面静止，没有声音。',
    remedy:
      '请检查您的网络。OBS：如果窗口底部的方块是红色的，请停止直播并重新开始。ffmpeg：看看它是否还在数帧，然后重新启动它。',
  },
  'audio-silent': {
    title: '您的声音是静音',
    detail: '观众什么也听不到，连现场的环境声也没有。',
    remedy:
      '请看看麦克风是否已打开。OBS：您说话时，混音器中它的电平条应当跳动，旁边的喇叭不能是红色（静音）；在“设置 › 音频”中选择正确的麦克风。ffmpeg：检查音频输入。',
  },
  'audio-clipping': {
    title: '您的声音太大，已经失真',
    detail: '观众听到爆音，人声刺耳。',
    remedy:
      '请在麦克风接入电脑的地方调低音量（麦克风或调音台的增益，或系统设置中的音量）。OBS：把混音器中的滑块向左拉，直到您说话时电平条不再进入红色。ffmpeg：如果声音在此之前没有失真，用 -af volume=-10dB。',
  },
  'audio-drift': {
    title: '您声音的时钟偏差了 {percent}%',
    detail: '观众会不断听到声音有小的空隙或断裂，口型和声音有时对不上。',
    remedy:
      '请把各处的采样率设成一样，最好是 48 kHz：系统设置中的麦克风，以及 OBS 的“设置 › 音频”；然后停止直播并重新开始。ffmpeg：-af aresample=async=1000，不要用只改变声音时间的滤镜。',
  },
  'av-apart': {
    title: {
      by: 'late',
      forms: {
        sound: '您的声音晚到 {seconds} 秒',
        picture: '您的画面晚到 {seconds} 秒',
        other: '您的声音和画面到达时间相差 {seconds} 秒',
      },
    },
    detail: '播放器要等它，因此观众会比您再落后这么多，或者口型和声音对不上。',
    remedy:
      'OBS：在“编辑 › 高级音频属性”中将同步偏移设为 0，并把麦克风和“设置 › 音频”的采样率设成一样，最好是 48 kHz；然后停止直播并重新开始。ffmpeg：不要用 -itsoffset，并在每个实时输入前加 -thread_queue_size 512。',
  },
  'clock-jump': {
    title: {
      by: 'jumps',
      forms: { one: '您编码器的时钟跳变了', other: '您编码器的时钟跳变了 {jumps} 次' },
    },
    detail: '观众看到画面停顿或缺了一段，此后口型和声音可能对不上。',
    remedy:
      'OBS：停止直播并重新开始；如果再次出现，请关闭 OBS 再打开。ffmpeg：如果转发的是循环播放的文件或别人的流，请重新编码（不要用 -c copy），或在输入前加 -fflags +genpts。',
  },
  'arrival-jitter': {
    title: '您的直播流一阵一阵地到达，最多晚 {seconds} 秒',
    detail: '观众看到画面停住又快进；为保险起见，播放器会离直播更远。',
    remedy:
      '请用网线代替 Wi-Fi，并停止其他上传。OBS：在“设置 › 输出”中调低码率，并在“设置 › 高级”中勾选网络拥塞时动态改变码率。ffmpeg：-maxrate 与 -b:v 相同，-bufsize 为其一半。',
  },
  'encoder-slow': {
    title: '您的直播流越来越落后',
    detail: '观众看到您的时间越来越晚，画面还会不时跳动。',
    remedy:
      '您的电脑或网络跟不上所发送的数据。OBS：查看“查看 › 统计”。如果是编码丢帧，请在“设置 › 输出”中选择硬件编码器，使用 x264 时将 CPU 使用预设设为 ultrafast；如果是网络丢帧，请在那里调低码率，并用网线代替 Wi-Fi。ffmpeg：-preset ultrafast，或更小的 -s 和 -b:v，直到显示 speed=1x。',
  },
  'encoder-fast': {
    title: '您的直播流比实际时间还快',
    detail: '观众看到画面卡顿；超前太多时连接会被关闭。',
    remedy:
      'OBS：停止直播并重新开始；如果再次出现，请把麦克风和“设置 › 音频”的采样率设成一样，最好是 48 kHz。ffmpeg：如果输入是文件，在它前面加 -re。',
  },
  'video-profile': {
    title: '您视频的 H.264 配置 {profile} 并非处处都能播放',
    detail: '多数观众听得到您，但看不到画面：浏览器和手机只能播放 Baseline、Main 和 High。',
    remedy:
      'OBS：在“设置 › 输出”中将输出模式设为高级，配置设为 high；在“设置 › 高级”中将颜色格式设为 NV12。然后停止直播并重新开始。ffmpeg：-pix_fmt yuv420p -profile:v high。',
  },
  'video-interlaced': {
    title: '您的视频是隔行扫描的',
    detail: '有些观众看到移动物体边缘有梳状条纹，有些完全没有画面：浏览器和手机只适合完整的画面。',
    remedy:
      '请把摄像机或采集设备设为逐行格式，例如用 1080p 代替 1080i。OBS：右键点击来源，“去隔行 › Yadif”。ffmpeg：-vf yadif，不要加 -flags +ilme+ildct。硬件编码器：设为逐行。',
  },
  'video-beyond-phones': {
    title: {
      by: 'width',
      forms: {
        none: '您的视频每秒 {fps} 帧，超出手机的播放能力',
        other: '您的画面为 {width}x{height}，超出手机的播放能力',
      },
    },
    detail: '手机和较旧的电脑可能卡顿、发热，或没有画面。',
    remedy:
      'OBS：在“设置 › 视频”中将输出（缩放）分辨率设为 1920x1080 或更小，常用 FPS 值设为 30 或 60。ffmpeg：-s 1920x1080 -r 30。',
  },
  'audio-he-aac': {
    title: '您的声音编码为 {profile}',
    detail: '通过 WebRTC 观看的人听到的声音发闷，像隔着墙，因为那里只能传输它的低频部分。',
    remedy:
      '请把编码器的音频设为 AAC-LC（常简称 AAC），96 kbit/s 或更高。OBS：在“设置 › 输出”中将输出模式设为高级，在“音频”选项卡中将码率设为 128 或更高。ffmpeg：-c:a aac -b:a 128k，不要加 -profile:a。',
  },
  'audio-surround': {
    title: '您的声音有 {channels} 个声道，无法传输',
    detail: '观众看得到您，但什么也听不到。',
    remedy: 'OBS：在“设置 › 音频”中将声道设为立体声。然后停止直播并重新开始。ffmpeg：-ac 2。',
  },
  'video-refused': {
    title: {
      by: 'codec',
      forms: {
        'H.264': '您的 H.264 视频无法使用',
        other: '您的编码器发送的是 {codec}，不是 H.264',
      },
    },
    detail: '观众什么也看不到、听不到：直播流未被接受。',
    remedy:
      'OBS：在“设置 › 输出”中将输出模式设为高级，视频编码器选名称中带 H.264 的，或 x264。ffmpeg：-c:v libx264。',
  },
  'audio-refused': {
    title: '您的编码器发送的声音不是 AAC-LC（{codec}）',
    detail: '观众什么也看不到、听不到：直播流未被接受。',
    remedy: 'OBS：在“设置 › 输出”中将输出模式设为高级，音频编码器选 AAC。ffmpeg：-c:a aac -ac 2。',
  },
  'encoder-refused': {
    title: '您编码器的发送方式在这里无法识别',
    detail: '观众什么也看不到、听不到：直播流未被接受。',
    remedy:
      '请使用普通的 RTMP，H.264 加 AAC，一路画面和一路声音。OBS：在“设置 › 直播”中服务选“自定义”，取消多轨视频，并在“设置 › 输出”中只选一个音轨。ffmpeg：-f flv，并用 -map 各选一路视频和音频。',
  },
};
